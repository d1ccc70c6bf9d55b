"""How close a reconstruction is to its original: PSNR and SSIM in a stated range of HU."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

DATA_RANGE_HU = 2000.0
"""-1000 to +1000 HU: what the models see."""
SSIM_WINDOW = 11
"""Voxels along y and x."""


def psnr(original_hu: Float[Tensor, "z y x"], other_hu: Float[Tensor, "z y x"]) -> float:
    """Peak signal-to-noise ratio in dB over all voxels, HU clipped to ±1000; infinite for equal volumes."""
    return psnr_of_error((_clip(original_hu) - _clip(other_hu)).double().square().mean().item(), DATA_RANGE_HU)


def psnr_of_error(mean_squared_error: float, data_range: float = 2.0) -> float:
    """PSNR in dB of a mean squared error over values that span `data_range`; 2 for a model's [-1, 1]."""
    return math.inf if mean_squared_error == 0 else 10 * math.log10(data_range**2 / mean_squared_error)


def ssim(original_hu: Float[Tensor, "z y x"], other_hu: Float[Tensor, "z y x"]) -> float | None:
    """Structural similarity of axial slices (Wang et al. 2004: 11 × 11 Gaussian window), averaged over slices.

    None where a slice is smaller than the window. One slice at a time: the maps of a whole scan are gigabytes.
    """
    if min(original_hu.shape[1:]) < SSIM_WINDOW:
        return None
    total = 0.0
    for original, other in zip(original_hu, other_hu, strict=True):
        value = structural_similarity_index_measure(
            _clip(other)[None, None], _clip(original)[None, None], data_range=DATA_RANGE_HU
        )
        assert isinstance(value, Tensor)
        total += value.item()
    return total / len(original_hu)


def _clip(hu: Tensor) -> Tensor:
    return torch.as_tensor(hu, dtype=torch.float32).clamp(-1000, 1000)
