"""Which scaling makes HU of stored values: found from the values, applied once."""

from pathlib import Path

import numpy as np
import pytest

from generatect.ct.hounsfield import HU_POLICIES, HUDecision, Scaling, decide_hu, to_hu
from generatect.ct.nifti import read_nifti_with_layout
from generatect.errors import InputError

PATH = Path("scan.nii.gz")
IDENTITY = Scaling(1.0, 0.0)
RESCALE = Scaling(1.0, -1024.0)


@pytest.fixture(scope="module")
def chest_hu() -> np.ndarray:
    """A chest as a histogram: air with noise, lung, fat, muscle, blood and bone, in no order."""
    rng = np.random.default_rng(0)
    parts = ((-1000, 15, 40), (-860, 60, 20), (-100, 20, 14), (50, 25, 20), (250, 60, 4), (700, 200, 2))
    values = np.concatenate([rng.normal(mean, spread, share * 600) for mean, spread, share in parts])
    return rng.permutation(np.rint(values.clip(-1024, 3071))).reshape(50, 40, 30).astype(np.int16)


def decide(stored: np.ndarray, header=IDENTITY, metadata=None, policy="auto") -> HUDecision:
    return decide_hu(np.asfortranarray(stored), header=header, metadata=metadata, policy=policy, path=PATH)


def refusal(stored: np.ndarray, **options) -> str:
    with pytest.raises(InputError) as caught:
        decide(stored, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(PATH) in message
    return message


def raw(hu: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Stored integers of which the scaling makes these HU."""
    return np.rint((hu - scaling.intercept) / scaling.slope).astype(np.int16)


@pytest.mark.parametrize(
    ("stored_by", "header", "metadata", "policy"),
    [
        (IDENTITY, IDENTITY, None, "header"),
        (IDENTITY, IDENTITY, IDENTITY, "header"),
        (IDENTITY, IDENTITY, RESCALE, "header"),  # CT-RATE's `_fixed` files beside their table
        (RESCALE, IDENTITY, RESCALE, "metadata"),  # its plain files
        (Scaling(1.0, -8192.0), IDENTITY, Scaling(1.0, -8192.0), "metadata"),
        (Scaling(0.5, -1024.5), IDENTITY, Scaling(0.5, -1024.5), "metadata"),
        (RESCALE, RESCALE, None, "header"),
        (RESCALE, RESCALE, RESCALE, "header"),  # stated twice, applied once
        (Scaling(0.5, 0.0), Scaling(0.5, 0.0), None, "header"),
        (Scaling(1.0, -1024.5), Scaling(1.0, -1024.5), RESCALE, "header"),
        (IDENTITY, RESCALE, None, "already_hu"),  # HU whose header would scale them again
        (IDENTITY, RESCALE, RESCALE, "already_hu"),
        (IDENTITY, Scaling(1e30, 0.0), None, "already_hu"),
        (IDENTITY, IDENTITY, Scaling(float("nan"), -1024.0), "header"),
        (IDENTITY, IDENTITY, Scaling(0.0, -1024.0), "header"),
    ],
)
@pytest.mark.parametrize("padding", [None, -2000, -3024, -8192])
def test_auto_finds_the_scaling_that_holds(chest_hu, stored_by, header, metadata, policy, padding):
    stored = raw(chest_hu, stored_by)
    if padding is not None:
        stored[:, :12] = padding  # stored as it is, and scaled with all else
    decision = decide(stored, header, metadata)
    assert decision.policy == policy
    hu = to_hu(stored.copy(), decision)
    np.testing.assert_allclose(hu[:, 12:], chest_hu[:, 12:], atol=0.5 if stored_by.slope == 1 else 0.26)


@pytest.mark.parametrize("metadata", [None, RESCALE])
def test_scaled_twice_in_storage_is_refused(chest_hu, metadata):
    reason = refusal(chest_hu - 1024, metadata=metadata)
    assert "5th / 50th / 95th" in reason
    assert "hu_policy=header" in reason


def test_a_refusal_shows_every_reading(chest_hu):
    reason = refusal(chest_hu + 3000, header=RESCALE, metadata=Scaling(2.0, 100.0))
    for reading in ("header (slope 1, intercept -1024)", "already_hu (slope 1, intercept 0)", "metadata (slope 2"):
        assert reading in reason
    low, middle, high = np.percentile(chest_hu, (5, 50, 95)) + 3000
    assert f"{low:.0f} / {middle:.0f} / {high:.0f}" in reason


def test_a_sole_reading_needs_air_alone(chest_hu):
    lung_only = np.where(chest_hu < -700, chest_hu, -1024).astype(np.int16)
    decision = decide(lung_only)
    assert (decision.policy, decision.slope, decision.intercept) == ("header", 1, 0)
    assert "only reading" in decision.reason
    assert "lowest is 0" in refusal(chest_hu + 1024)


def test_two_readings_that_both_look_like_ct_are_reported(chest_hu):
    rival = decide(chest_hu, metadata=Scaling(1.0, -20.0)).reason
    assert "metadata (slope 1, intercept -20)" in rival
    assert "check" in rival
    assert "metadata" not in decide(chest_hu, metadata=Scaling(1.0, -1.5)).reason


def test_a_scaling_within_rounding_is_none(chest_hu):
    decision = decide(chest_hu, header=Scaling(1.00003, 0.25))
    assert (decision.slope, decision.intercept) == (1, 0)
    assert decide(chest_hu, header=Scaling(1.0, 0.75)).intercept == 0.75


def test_a_single_voxel_of_air_is_found_outside_the_sample():
    stored = np.zeros((128, 128, 64), np.int16)
    stored[77, 5, 3] = -1000
    assert decide(stored, policy="header").policy == "header"
    assert "lowest is 0" in refusal(np.zeros((128, 128, 64), np.int16), policy="header")


def test_what_is_told_is_done(chest_hu):
    table = Scaling(2.0, -7.0)
    options = {"header": RESCALE, "metadata": table}
    for policy, expected in (
        ("header", RESCALE),
        ("unchecked", RESCALE),
        ("metadata", table),
        ("already_hu", IDENTITY),
    ):
        decision = decide(chest_hu, policy=policy, **options)
        assert (decision.policy, Scaling(decision.slope, decision.intercept)) == (policy, expected)
    assert decide(chest_hu + 1024, policy="unchecked").policy == "unchecked"
    for useless in (None, Scaling(0.0, 1.0), Scaling(float("nan"), 1.0)):
        assert "hu_policy=metadata" in refusal(chest_hu, metadata=useless, policy="metadata")
    with pytest.raises(InputError, match=", ".join(HU_POLICIES)):
        decide(chest_hu, policy="guess")


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u2", ">u2", "u1", "<i4", "<i8"])
def test_whole_numbers_stay_int16_and_exact(dtype):
    stored = np.array([0, 1, 24, 200, 255], dtype).reshape(1, 1, 5)
    hu = to_hu(stored.copy(), HUDecision("header", 1.0, -1024.0, ""))
    assert hu.dtype == np.int16
    np.testing.assert_array_equal(hu.ravel(), [-1024, -1023, -1000, -824, -769])


@pytest.mark.parametrize(
    ("stored", "scaling", "expected"),
    [
        (np.array([-32000, 0], "i2"), Scaling(1.0, -1024.0), [-33024, -1024]),
        (np.array([0, 65535], "u2"), Scaling(1.0, 0.0), [0, 65535]),
        (np.array([65535, 32768], "u2"), Scaling(1.0, -32768.0), [32767, 0]),
        (np.array([0, 100000], "i4"), Scaling(1.0, -1024.0), [-1024, 98976]),
        (np.array([0, 24], "i2"), Scaling(1.0, -1024.5), [-1024.5, -1000.5]),
        (np.array([0, 2048], "i2"), Scaling(0.5, -1024.0), [-1024, 0]),
        (np.array([0, 24], "f8"), Scaling(1.0, -1024.0), [-1024, -1000]),
        (np.array([0, 24], ">f4"), Scaling(1.0, 0.0), [0, 24]),
    ],
)
def test_what_int16_cannot_hold_is_float32(stored, scaling, expected):
    hu = to_hu(stored.reshape(1, 1, 2), HUDecision("header", scaling.slope, scaling.intercept, ""))
    whole = np.array_equal(np.int16(np.clip(expected, -32768, 32767)), expected) and stored.dtype.kind != "f"
    assert hu.dtype == (np.int16 if whole and scaling.slope == 1 else np.float32)
    np.testing.assert_array_equal(hu.ravel(), expected)


def test_real_ct_is_accepted_as_it_is(real_ct_dir):
    for name in ("chest_a", "chest_b", "abdomen"):
        for metadata in (None, RESCALE):
            volume, layout = read_nifti_with_layout(real_ct_dir / f"{name}.nii.gz", metadata=metadata)
            assert (layout.hu.policy, layout.hu.slope, layout.hu.intercept) == ("header", 1, 0)
            assert volume.voxels_hu.dtype == np.int16
