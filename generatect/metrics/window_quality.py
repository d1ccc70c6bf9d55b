"""PSNR and SSIM as a display window shows them: the HU outside it are black and white and count no more than that."""

import torch
from jaxtyping import Shaped
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from generatect.metrics.reconstruction import SSIM_WINDOW, psnr_of_error


def psnr_in_window(
    original_hu: Shaped[Tensor, "z y x"], other_hu: Shaped[Tensor, "z y x"], width_hu: float, level_hu: float
) -> float:
    """Peak signal-to-noise ratio in dB, HU clipped to the window, whose width is the peak; infinite where equal."""
    original, other = (_shown(volume, width_hu, level_hu) for volume in (original_hu, other_hu))
    return psnr_of_error((original - other).double().square().mean().item(), width_hu)


def ssim_in_window(
    original_hu: Shaped[Tensor, "z y x"], other_hu: Shaped[Tensor, "z y x"], width_hu: float, level_hu: float
) -> float | None:
    """Structural similarity (Wang et al. 2004) of axial slices in the window, averaged over slices.

    None where a slice is smaller than the 11 × 11 window of the measure. One slice at a time: the maps of a whole scan
    are gigabytes.
    """
    if min(original_hu.shape[1:]) < SSIM_WINDOW:
        return None
    total = 0.0
    for original, other in zip(original_hu, other_hu, strict=True):
        value = structural_similarity_index_measure(
            _shown(other, width_hu, level_hu)[None, None],
            _shown(original, width_hu, level_hu)[None, None],
            data_range=width_hu,
        )
        assert isinstance(value, Tensor)
        total += value.item()
    return total / len(original_hu)


def _shown(hu: Tensor, width_hu: float, level_hu: float) -> Tensor:
    """HU above the window's lower end, clipped to its width."""
    return (torch.as_tensor(hu, dtype=torch.float32) - (level_hu - width_hu / 2)).clamp(0, width_hu)
