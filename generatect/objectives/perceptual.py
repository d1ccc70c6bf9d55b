"""Perceptual loss between slices, and the choice of the slices it looks at.

Arithmetic of spec §1, "Losses". The feature network comes as an argument.
"""

from collections.abc import Callable

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from generatect.errors import InputError


def draw_slices(num_volumes: int, num_slices: int, generator: torch.Generator) -> Int[Tensor, " b"]:
    """One uniformly random slice index in 0..num_slices-1 per volume, on the CPU."""
    return torch.randint(num_slices, (num_volumes,), generator=generator)


def take_slices(volume: Float[Tensor, "b c z y x"], index: Int[Tensor, " b"]) -> Float[Tensor, "b c y x"]:
    """Slice `index[i]` of volume i."""
    return volume[torch.arange(len(volume), device=volume.device), :, index.to(volume.device)]


def perceptual_mse(
    features: Callable[[Tensor], Tensor], real: Float[Tensor, "b c y x"], fake: Float[Tensor, "b c y x"]
) -> Float[Tensor, ""]:
    """Mean squared difference between the features of two batches of grey images.

    Args:
        features: "b 3 y x" → any shape; frozen. The release uses VGG16's second 4096-wide layer and does not apply
            ImageNet's normalisation.
        real: images in [-1, 1]; no gradient flows into them.
        fake: the same, with gradient.

    Raises:
        InputError: if the images are neither grey nor of three channels.
    """
    with torch.no_grad():
        target = features(as_colour(real))
    return F.mse_loss(features(as_colour(fake)), target)


def as_colour(images: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 y x"]:
    """Three equal channels from one; three pass through.

    Raises:
        InputError: for any other number of channels.
    """
    match images.shape[1]:
        case 1:
            return repeat(images, "b 1 y x -> b 3 y x")
        case 3:
            return images
        case channels:
            raise InputError(
                f"perceptual loss: images have {channels} channels, expected 1 or 3; train such volumes without it"
            )
