"""The gate: what can be no chest CT is refused with its reason, true phantoms and true CT pass."""

from dataclasses import replace

import numpy as np
import pytest

from generatect.ct.nifti import read_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.ct.quality import QualityLimits, faults, measure_quality
from generatect.ct.volume import CTVolume
from generatect.phantom.pairs import PhantomPairs

PRESET = PhysicalPreset(num_slices=17, size=48, upscaled_size=96, fov_mm_zyx=[301.5, 384.0, 384.0])
LIMITS = QualityLimits()
UNSEEN_SEED = 4711  # the limits were chosen on series 77


@pytest.fixture(scope="module")
def phantoms() -> list[CTVolume]:
    pairs = PhantomPairs(num=200, seed=UNSEEN_SEED)
    return [PRESET.to_volume(pairs.model_input(index, PRESET)) for index in range(len(pairs))]


def with_voxels(volume: CTVolume, voxels: np.ndarray) -> CTVolume:
    return replace(volume, voxels_hu=voxels.astype(np.float32))


def empty(volume: CTVolume, random: np.random.Generator) -> CTVolume:
    return with_voxels(volume, np.full_like(volume.voxels_hu, random.choice([-1000, 0, 40])))


def clipped(volume: CTVolume, random: np.random.Generator) -> CTVolume:
    """What a soft-tissue window leaves, with and without its lower end."""
    high = random.uniform(30, 70)
    return with_voxels(volume, volume.voxels_hu.clip(random.choice([-1000, -160]), high))


def shuffled(volume: CTVolume, random: np.random.Generator) -> CTVolume:
    return with_voxels(volume, volume.voxels_hu[random.permutation(len(volume.voxels_hu))])


def not_a_number(volume: CTVolume, random: np.random.Generator) -> CTVolume:
    voxels = volume.voxels_hu.astype(np.float32)
    voxels[tuple(int(random.integers(size)) for size in voxels.shape)] = np.nan
    return with_voxels(volume, voxels)


@pytest.mark.parametrize(
    ("plant", "reason"),
    [(empty, ""), (clipped, "clipped"), (shuffled, "slices jump"), (not_a_number, "no numbers")],
    ids=["empty", "clipped", "shuffled", "nan"],
)
def test_planted_failures_are_refused(phantoms, plant, reason):
    random = np.random.default_rng(0)
    for volume in phantoms[:20]:
        found = faults(measure_quality(plant(volume, random)), LIMITS)
        assert any(reason in fault for fault in found), found


def test_true_phantoms_pass(phantoms):
    passed = sum(not faults(measure_quality(volume), LIMITS) for volume in phantoms)
    assert passed >= 0.95 * len(phantoms)


def test_true_ct_passes_and_an_abdomen_has_no_lungs(real_ct_dir):
    for name in ("chest_a", "chest_b"):
        assert faults(measure_quality(read_nifti(real_ct_dir / f"{name}.nii.gz")), LIMITS) == []
    found = faults(measure_quality(read_nifti(real_ct_dir / "abdomen.nii.gz")), LIMITS)
    assert any(fault.startswith("lung") for fault in found)


def test_the_jump_of_slices_in_random_order_is_one(phantoms):
    random = np.random.default_rng(1)
    jumps = [measure_quality(shuffled(volume, random)).jump for volume in phantoms]
    assert np.mean(jumps) == pytest.approx(1.0, abs=0.02)


def test_the_body_of_a_ring_is_the_ring_and_what_it_encloses():
    """A square frame of tissue around air: closed form."""
    voxels = np.full((4, 20, 20), -1000, np.int16)
    voxels[:, 5:15, 5:15] = 40
    voxels[:, 8:12, 8:12] = -800
    figures = measure_quality(CTVolume(voxels, np.diag([3.0, 1.0, 1.0, 1.0])))
    assert figures.body == pytest.approx(100 / 400)
    assert figures.lung == pytest.approx(16 / 100)
    assert figures.jump == 0
