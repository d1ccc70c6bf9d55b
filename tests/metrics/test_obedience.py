"""Obedience of known scores, and changes whose place and size are known."""

import numpy as np
import pytest

from generatect.errors import InputError
from generatect.metrics.auroc import auroc
from generatect.metrics.obedience import counterfactual_change, obedience

NAMED = np.array([True, True, True, False, False, False, False])
DENIED = np.array([False, False, False, True, True, True, False])
SPACING = (3.0, 2.0, 1.0)


def test_it_ranks_named_against_denied_and_leaves_the_silent_out():
    scores = np.array([3.0, 2.0, 0.5, 1.0, 0.0, 0.2, 99.0])
    found = obedience({"Effusion": scores}, {"Effusion": NAMED}, {"Effusion": DENIED})
    assert found["Effusion"] == auroc(scores[:3], scores[3:6])
    assert found["Effusion"].value == pytest.approx(8 / 9)


def test_a_finding_that_too_few_prompts_name_has_no_number():
    few = NAMED & (np.arange(7) < 1)
    assert obedience({"Effusion": np.arange(7.0)}, {"Effusion": few}, {"Effusion": DENIED}) == {"Effusion": None}


def test_contradictions_are_refused():
    with pytest.raises(InputError, match="both names and denies"):
        obedience({"Effusion": np.zeros(7)}, {"Effusion": NAMED}, {"Effusion": NAMED})
    with pytest.raises(InputError, match="no score"):
        obedience({"Nodule": np.zeros(7)}, {"Effusion": NAMED}, {"Effusion": DENIED})


def test_where_and_how_much_a_volume_changes():
    before = np.full((5, 7, 9), -800.0, np.float32)
    after = before.copy()
    after[4, 1, 8] += 600  # superior, anterior, the patient's left
    after[4, 1, 7] += 200
    change = counterfactual_change(before, after, SPACING, "left")
    assert change.mean_abs_hu == pytest.approx(800 / before.size)
    assert change.changed_share == pytest.approx(2 / before.size)
    assert change.centre_mm_zyx == pytest.approx((2 * 3.0, -2 * 2.0, (600 * 4 + 200 * 3) / 800))
    assert change.share_on_side == 1
    assert counterfactual_change(before, after, SPACING, "right").share_on_side == 0
    assert counterfactual_change(before, after, SPACING).share_on_side is None


def test_what_lies_in_the_middle_belongs_to_both_sides():
    before = np.zeros((2, 2, 3), np.int16)
    after = before.copy()
    after[:, :, 1], after[0, 0, 0] = 100, 400
    change = counterfactual_change(before, after, SPACING, "right")
    assert change.share_on_side == pytest.approx((400 + 200) / 800)


def test_small_changes_count_in_the_mean_alone():
    before, after = np.zeros((2, 3, 4)), np.full((2, 3, 4), 50.0)
    assert counterfactual_change(before, after, SPACING, "left") == (50.0, 0.0, None, None)


def test_other_grids_and_sides_are_refused():
    with pytest.raises(InputError, match="one grid"):
        counterfactual_change(np.zeros((2, 3, 4)), np.zeros((2, 3, 5)), SPACING)
    with pytest.raises(InputError, match="side='up'"):
        counterfactual_change(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), SPACING, "up")
