"""PSNR and SSIM against closed forms and an implementation over the whole volume."""

import math

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from generatect.metrics.reconstruction import psnr, ssim


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    original = torch.randn(3, 16, 13, generator=generator) * 400
    return original, original + torch.randn(3, 16, 13, generator=generator) * 100


def test_equal_volumes(pair):
    assert psnr(pair[0], pair[0]) == math.inf
    assert ssim(pair[0], pair[0]) == pytest.approx(1)


def test_psnr_of_a_constant_shift():
    assert psnr(torch.zeros(2, 3, 4), torch.full((2, 3, 4), 20.0)) == pytest.approx(40)


def test_ssim_is_the_mean_over_slices(pair):
    whole = structural_similarity_index_measure(
        *(volume.clamp(-1000, 1000)[:, None] for volume in pair), data_range=2000.0
    )
    assert ssim(*pair) == pytest.approx(whole.item(), abs=1e-6)


@pytest.mark.parametrize("shape", [(20, 10, 12), (20, 12, 3)])
def test_slices_smaller_than_the_window_have_no_ssim(shape):
    assert ssim(torch.zeros(shape), torch.zeros(shape)) is None
