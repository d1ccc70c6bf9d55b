"""Phantoms as training pairs: seeded, on the preset's own grids, and honest about what they are."""

import numpy as np
import pytest
import torch

from generatect.ct.preset import PhysicalPreset, ReleasedPreset
from generatect.data.split import split_by_patient
from generatect.errors import InputError
from generatect.phantom.findings import FINDINGS, SIDED
from generatect.phantom.pairs import PhantomPairs

PRESET = PhysicalPreset(num_slices=9, size=24, upscaled_size=96)


def make(**changes) -> PhantomPairs:
    return PhantomPairs(**({"num": 20, "seed": 1, "native_shape_zyx": [16, 32, 32]} | changes))


def test_pairs_are_seeded_and_named():
    pairs, again = make(), make()
    assert len(pairs) == 20
    assert pairs.name(3) == "phantom-1000003"
    assert make(seed=0).name(123 % 20) == "phantom-000003"
    assert len({pairs.name(index) for index in range(20)}) == 20
    assert [pairs.text(index) for index in range(20)] == [again.text(index) for index in range(20)]
    assert torch.equal(pairs.model_input(4, PRESET), again.model_input(4, PRESET))
    report, labels = pairs.report(2), pairs.labels(2)
    assert {name: labels[name] for name in FINDINGS} == {n: int(m == "named") for n, m in report.mentions.items()}
    for name in SIDED:
        on = [side for side in ("left", "right") if labels[f"{name}/{side}"]]
        assert on == {"": [], "left": ["left"], "right": ["right"], "both": ["left", "right"]}[report.sides[name]]
    assert "not a patient" in pairs.notice


def test_second_scans_share_the_patient_and_a_split_keeps_them_together():
    pairs = make(num=100)
    assert pairs.patient(4) == pairs.patient(3) != pairs.patient(2)
    assert pairs.case(4).patient == pairs.case(3).patient
    parts = split_by_patient([pairs.patient(index) for index in range(100)], val_fraction=0.3, seed=0)
    sides = [{pairs.patient(index) for index in part} for part in parts.values()]
    assert not sides[0] & sides[1]


def test_inputs_lie_on_the_presets_grids():
    pairs = make()
    low, high = pairs.model_input(0, PRESET), pairs.model_input(0, PRESET, upscaled=True)
    assert low.shape == (1, 9, 24, 24)
    assert high.shape == (1, 9, 96, 96)
    assert -1 <= low.min() < low.max() <= 1
    assert pairs.volume(0).shape_zyx == (16, 32, 32)


def test_low_resolution_is_the_upscaled_grid_averaged_in_plane_noise_included():
    pairs = make(noise_hu=40.0, prevalence=0.0)
    clean = pairs.clean_input(0, PRESET)
    averaged = pairs.clean_input(0, PRESET, upscaled=True).unflatten(2, (24, 4)).unflatten(4, (24, 4)).mean((3, 5))
    assert (clean - averaged).square().mean().sqrt() < 0.04
    soft = (clean > -0.5) & (clean < 0.5)
    noise = 1000 * (pairs.model_input(0, PRESET) - clean)[soft]
    assert noise.std().item() == pytest.approx(10, rel=0.1)
    noise = 1000 * (pairs.model_input(0, PRESET, True) - pairs.clean_input(0, PRESET, True))
    assert noise[pairs.clean_input(0, PRESET, True).abs() < 0.5].std().item() == pytest.approx(40, rel=0.05)


def test_the_released_preset_sees_the_patient_in_its_own_axes():
    preset = ReleasedPreset(num_slices=9, size=24, upscaled_size=24)
    physical = PhysicalPreset(num_slices=9, size=24, upscaled_size=24)
    pairs = make()
    torch.testing.assert_close(
        pairs.clean_input(1, preset), pairs.clean_input(1, physical).transpose(2, 3), atol=1e-4, rtol=0
    )


def test_fingerprints_follow_the_content():
    prints = {make(**changes).fingerprint(0) for changes in ({}, {"noise_hu": 5.0}, {"seed": 2}, {"prevalence": 0.1})}
    assert len(prints) == 4
    assert make().fingerprint(0) == make().fingerprint(0) != make().fingerprint(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num": 0}, "num=0"),
        ({"noise_hu": -1.0}, "noise_hu=-1"),
        ({"wording": "x"}, "'x'"),
        ({"prevalence": np.nan}, "nan"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)
