"""Labels against reports: silent when in doubt, loud when a label is turned round."""

import csv

import pytest

from generatect.data.inspection.label_text import NAMES, contradicts
from generatect.phantom.pairs import PhantomPairs


@pytest.mark.parametrize(
    ("label", "value", "text", "expected"),
    [
        ("Pleural effusion", 1, "No pleural effusion.", True),
        ("Pleural effusion", 1, "Heart normal. Pleural effusion was not observed.", True),
        ("Pleural effusion", 1, "Pleural effusion-thickening was not detected.", True),
        ("Pleural effusion", 1, "No nodule, consolidation or pleural effusion is seen.", True),
        ("Pleural effusion", 1, "There is no pleural effusion on the right.", False),
        ("Pleural effusion", 1, "No other pleural effusion.", False),
        ("Pleural effusion", 1, "No pleural effusion. Effusion in the left fissure.", False),
        ("Pleural effusion", 1, "Clear lungs.", False),
        ("Pleural effusion", 0, "No pleural effusion.", False),
        ("Pleural effusion", 0, "A pleural effusion is observed.", True),
        ("Pleural effusion", 0, "There is a pleural effusion, 3 cm deep.", True),
        ("Pleural effusion", 0, "There is a suspicious pleural effusion.", False),
        ("Pleural effusion", 0, "Pleural effusion is seen. The effusion of before has resolved.", False),
        ("Emphysema", 0, "Subcutaneous emphysema is observed.", False),
        ("Emphysema", 1, "EMPHYSEMA WAS NOT OBSERVED", True),
        ("Lung nodule", 0, "A nodule is seen in the thyroid.", False),
        ("Medical material", 1, "No medical material.", False),
        ("Something of your own", 1, "No something of your own.", False),
    ],
)
def test_sentences(label, value, text, expected):
    assert contradicts(label, value, text) is expected


def test_phantom_reports_agree_with_their_labels():
    pairs = PhantomPairs(num=150)
    flipped = 0
    for index in range(len(pairs)):
        for label, value in pairs.labels(index).items():
            assert not contradicts(label, value, pairs.text(index)), (index, label)
            flipped += contradicts(label, 1 - value, pairs.text(index))
    assert flipped > 150


def test_real_reports(real_ct_dir):
    """Labels that a model read from 800 reports: few contradictions, and most turned labels go unseen, not all."""
    with (real_ct_dir / "reports_train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    judged = [(label, int(float(row[label])), row["report_text"]) for row in rows for label in NAMES]
    assert sum(contradicts(*one) for one in judged) < 0.002 * len(judged)
    assert sum(contradicts(label, 1 - value, text) for label, value, text in judged) > 0.04 * len(judged)
