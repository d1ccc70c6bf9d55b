"""Histograms, continuity along z and quality in windows, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from generatect.errors import InputError
from generatect.metrics.hu_histogram import hu_distance_between, hu_histogram, wasserstein_hu
from generatect.metrics.window_quality import psnr_in_window, ssim_in_window
from generatect.metrics.z_continuity import jerk_hu, jerk_ratio_between


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 300, shape).astype(np.float32)


def test_a_histogram_counts_each_hu_and_clips():
    shares = hu_histogram(np.array([[[-3000, -1000, 0, 0.4, 1000, 9000]]], dtype=np.float32))
    assert shares.sum() == pytest.approx(1)
    assert (shares[0], shares[1000], shares[2000]) == pytest.approx((2 / 6, 2 / 6, 2 / 6))


def test_a_shift_of_all_voxels_is_its_own_distance():
    voxels = noise(0, 4, 30, 30).clip(-900, 900)
    assert wasserstein_hu(hu_histogram(voxels), hu_histogram(voxels + 25)) == pytest.approx(25)
    assert wasserstein_hu(hu_histogram(voxels), hu_histogram(voxels)) == 0


def test_the_distance_is_that_of_sorted_values():
    """In one dimension the best transport keeps the order."""
    a, b = np.rint(noise(0, 2, 20, 20)).clip(-1000, 1000), np.rint(noise(1, 2, 20, 20) * 0.5 + 40).clip(-1000, 1000)
    expected = np.abs(np.sort(a.ravel()) - np.sort(b.ravel())).mean()
    assert wasserstein_hu(hu_histogram(a), hu_histogram(b)) == pytest.approx(expected, rel=1e-6)


def test_volumes_count_alike_whatever_their_size():
    small, large, other = (hu_histogram(np.full((n, 4, 4), hu, np.float32)) for n, hu in ((1, 0), (9, 100), (5, 50)))
    assert hu_distance_between([small, large], [other])(np.array([0, 1]), np.array([0])) == pytest.approx(50)


def test_even_change_has_no_jerk_and_a_single_jump_has_a_known_one():
    k = np.arange(12, dtype=np.float32)[:, None, None]
    parabola = np.broadcast_to(3 * k**2 - 10 * k, (12, 5, 5))
    assert jerk_hu(parabola) == pytest.approx(0, abs=1e-4)
    step = np.where(k < 6, 0, 100) * np.ones((12, 5, 5))
    assert jerk_hu(step.astype(np.float32)) == pytest.approx((100 + 200 + 100) / 9)


def test_the_third_difference_of_noise():
    """Variance 1 + 9 + 9 + 1 = 20; the mean size of a normal is √(2/π) of its spread."""
    voxels = np.random.default_rng(0).normal(0, 10, (20, 60, 60)).astype(np.float32)
    assert jerk_hu(voxels) == pytest.approx(10 * math.sqrt(20 * 2 / math.pi), rel=0.01)


def test_the_ratio_is_above_one_where_slices_flicker():
    assert jerk_ratio_between([2.0, 4.0], [6.0])(np.array([0, 1]), np.array([0])) == 2
    with pytest.raises(InputError, match="at least 4"):
        jerk_hu(np.zeros((3, 4, 4)))


def test_psnr_in_a_window_takes_its_width_as_peak():
    original = torch.zeros(2, 8, 8)
    assert psnr_in_window(original, original + 40, 400.0, 40.0) == pytest.approx(20 * math.log10(400 / 40))
    assert psnr_in_window(original, original, 400.0, 40.0) == math.inf


def test_what_the_window_does_not_show_does_not_count():
    original, other = torch.full((2, 12, 12), -900.0), torch.full((2, 12, 12), -300.0)
    assert psnr_in_window(original, other, 400.0, 40.0) == math.inf  # both black in the mediastinal window
    assert psnr_in_window(original, other, 1500.0, -600.0) == pytest.approx(20 * math.log10(1500 / 600))


def test_ssim_in_a_window_is_that_of_the_shown_slices():
    original, other = (torch.from_numpy(noise(seed, 3, 16, 13)) for seed in (0, 1))
    shown = [(volume.clamp(-160, 240) + 160)[:, None] for volume in (other, original)]
    expected = structural_similarity_index_measure(*shown, data_range=400.0)
    assert ssim_in_window(original, other, 400.0, 40.0) == pytest.approx(expected.item(), abs=1e-6)
    assert ssim_in_window(original[:, :10], other[:, :10], 400.0, 40.0) is None
