"""Copies that have been moved come to lie upon each other; planted copies are what they are said to be."""

import numpy as np
import pytest
import torch

from generatect.ct.preset import PhysicalPreset
from generatect.ct.resample import AIR_HU
from generatect.ct.volume import CTVolume
from generatect.phantom.pairs import PhantomPairs
from generatect.privacy.alignment import centred
from generatect.privacy.planted import CONTRAST, NOISE_HU, OFFSET_HU, SHIFT_MM, altered

PRESET = PhysicalPreset(num_slices=17, size=48, upscaled_size=192)


def small_body() -> torch.Tensor:
    """A body of varied density in the middle of air, with room on all sides."""
    volume = torch.full((1, 17, 48, 48), -1.0)
    volume[0, 5:12, 14:33, 10:30] = torch.rand(7, 19, 20, generator=torch.Generator().manual_seed(0)) * 0.8
    return volume


@pytest.mark.parametrize("step", [(0, 0, 0), (2, 0, 0), (0, -5, 3), (-3, 6, -7)])
def test_wherever_a_body_lies_it_comes_to_the_middle(step):
    volume = small_body()
    moved = torch.roll(volume[0], step, (0, 1, 2))[None]
    assert torch.allclose(centred(moved), centred(volume), atol=1e-5)


def test_the_middle_is_the_middle():
    body = (centred(small_body())[0] + 1).clamp(max=0.7)
    for axis, size in enumerate(body.shape):
        mass = body.sum(dim=[other for other in range(3) if other != axis])
        centre = float((mass * torch.arange(size)).sum() / mass.sum())
        assert centre == pytest.approx((size - 1) / 2, abs=0.1)


def test_what_lies_in_the_middle_and_what_has_no_body_stays():
    symmetric = torch.full((1, 9, 16, 16), -1.0)
    symmetric[0, 3:6, 5:11, 4:12] = 0.1
    assert torch.allclose(centred(symmetric), symmetric, atol=1e-6)
    air = torch.full((1, 9, 16, 16), -1.0)
    assert torch.equal(centred(air), air)


def test_noise_moves_nothing():
    pairs = PhantomPairs(num=1, seed=3)
    clean, noisy = pairs.clean_input(0, PRESET), pairs.model_input(0, PRESET)
    apart = (centred(noisy) - centred(clean)).std() / (noisy - clean).std()
    assert apart < 1.05  # interpolation lowers noise; a volume that came to lie elsewhere would raise it


def test_a_planted_copy_is_its_original_moved_and_recoloured():
    native = CTVolume(small_body()[0].numpy() * 1000, PRESET.grid.affine())
    seen = set()
    for seed in range(8):
        copy = altered(native, np.random.default_rng(seed))
        best = (-1.0, (0, 0, 0))
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                moved = np.roll(native.voxels_hu, (0, dy, dx), (0, 1, 2))
                best = max(best, (float(np.corrcoef(moved.ravel(), copy.voxels_hu.ravel())[0, 1]), (0, dy, dx)))
        seen.add(best[1])
        moved = np.roll(native.voxels_hu, best[1], (0, 1, 2)).ravel()
        slope, offset_hu = np.polyfit(moved, copy.voxels_hu.ravel(), 1)
        residual = copy.voxels_hu.ravel() - slope * moved - offset_hu
        assert abs(slope - 1) <= CONTRAST + 0.002
        assert abs(offset_hu) <= OFFSET_HU + 2
        assert residual.std() == pytest.approx(NOISE_HU, rel=0.03)
    assert len(seen) > 3  # 10 mm are one voxel of 8 mm along y and x, none of 17.7 mm along z


def test_air_comes_in_where_a_planted_copy_has_moved():
    full = CTVolume(np.full((4, 40, 40), 50, np.float32), np.diag([3.0, 1.0, 1.0, 1.0]))
    copies = [altered(full, np.random.default_rng(seed)).voxels_hu for seed in range(6)]
    for copy in copies:
        air = (copy < (AIR_HU + 50) / 2).mean()
        assert 0 <= air < 1 - (1 - SHIFT_MM / 40) ** 2 * (1 - 3 / 4) + 1e-9
    assert any((copy < -500).any() for copy in copies)
