"""Volumes ↔ grids of tokens. The first slice is patched alone and the others in groups: one slice is a volume too."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


def patchify(
    volume: Float[Tensor, "b c z y x"], patch_size: int, slice_patch_size: int
) -> tuple[Float[Tensor, "b 1 h w first"], Float[Tensor, "b groups h w rest"]]:
    """Cut a volume of 1 + k·slice_patch_size slices into the patches of its first slice and of the other slices."""
    p, pt = patch_size, slice_patch_size
    first = rearrange(volume[:, :, :1], "b c 1 (h p1) (w p2) -> b 1 h w (c p1 p2)", p1=p, p2=p)
    rest = rearrange(volume[:, :, 1:], "b c (t pt) (h p1) (w p2) -> b t h w (c pt p1 p2)", pt=pt, p1=p, p2=p)
    return first, rest


def unpatchify(
    first: Float[Tensor, "b 1 h w first"],
    rest: Float[Tensor, "b groups h w rest"],
    patch_size: int,
    slice_patch_size: int,
) -> Float[Tensor, "b c z y x"]:
    """Put patches back together, the inverse of `patchify`."""
    p, pt = patch_size, slice_patch_size
    first = rearrange(first, "b 1 h w (c p1 p2) -> b c 1 (h p1) (w p2)", p1=p, p2=p)
    rest = rearrange(rest, "b t h w (c pt p1 p2) -> b c (t pt) (h p1) (w p2)", pt=pt, p1=p, p2=p)
    return torch.cat((first, rest), dim=2)


class PatchEmbedding(nn.Module):
    """Volume to tokens: each patch is normed, projected and normed; the first slice has weights of its own.

    Args:
        channels: channels of the volume.
        patch_size: side of a patch within a slice, voxels.
        slice_patch_size: slices of a patch.
        dim: width of a token.
    """

    def __init__(self, *, channels: int, patch_size: int, slice_patch_size: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.slice_patch_size = slice_patch_size
        first, rest = channels * patch_size**2, channels * slice_patch_size * patch_size**2
        self.first = nn.Sequential(nn.LayerNorm(first), nn.Linear(first, dim), nn.LayerNorm(dim))
        self.rest = nn.Sequential(nn.LayerNorm(rest), nn.Linear(rest, dim), nn.LayerNorm(dim))

    def forward(self, volume: Float[Tensor, "b c z y x"]) -> Float[Tensor, "b t h w d"]:
        """Embed a volume of 1 + (t - 1)·slice_patch_size slices."""
        first, rest = patchify(volume, self.patch_size, self.slice_patch_size)
        return torch.cat((self.first(first), self.rest(rest)), dim=1)


class VoxelProjection(nn.Module):
    """Tokens to volume: one linear map for the first slice and one for the rest. Args are those of `PatchEmbedding`."""

    def __init__(self, *, channels: int, patch_size: int, slice_patch_size: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.slice_patch_size = slice_patch_size
        self.first = nn.Linear(dim, channels * patch_size**2)
        self.rest = nn.Linear(dim, channels * slice_patch_size * patch_size**2)

    def forward(self, tokens: Float[Tensor, "b t h w d"]) -> Float[Tensor, "b c z y x"]:
        """Project a grid to a volume of 1 + (t - 1)·slice_patch_size slices."""
        return unpatchify(self.first(tokens[:, :1]), self.rest(tokens[:, 1:]), self.patch_size, self.slice_patch_size)
