"""AUROC against its definition and DeLong's interval against the spread of repeated samples."""

import numpy as np
import pytest

from generatect.errors import InputError
from generatect.metrics.auroc import auroc


def test_it_is_the_share_of_ordered_pairs_ties_counting_half():
    generator = np.random.default_rng(0)
    positive, negative = generator.integers(0, 8, size=30) + 1.0, generator.integers(0, 8, size=41) * 1.0
    above = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    result = auroc(positive, negative)
    assert result.value == pytest.approx(above)
    assert auroc(negative, positive).value == pytest.approx(1 - above)
    assert (result.num_positive, result.num_negative) == (30, 41)


def test_perfect_and_useless_scores():
    assert auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))[:3] == (1.0, 1.0, 1.0)
    assert auroc(np.zeros(5), np.zeros(7)).value == 0.5


def test_the_interval_covers_the_truth_about_95_times_in_100():
    generator = np.random.default_rng(1)
    # Φ(1/√2) is the AUROC of two unit normals one apart.
    truth = 0.7602499
    results = [auroc(generator.normal(1, 1, 80), generator.normal(0, 1, 60)) for _ in range(400)]
    assert np.mean([result.low <= truth <= result.high for result in results]) == pytest.approx(0.95, abs=0.03)


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        auroc(np.ones(1), np.ones(5))
    with pytest.raises(InputError, match="finite"):
        auroc(np.array([1.0, np.nan]), np.ones(5))
