"""Volumes laid upon each other: a copy moved by a few millimetres is a copy."""

import torch
from jaxtyping import Float
from torch import Tensor

from generatect.ct.intensity import hu_to_model
from generatect.ct.preview import BODY_THRESHOLD_HU
from generatect.ct.resample import axis_weights

AIR = -1.0
"""Of the model's range."""


def centred(volume: Float[Tensor, "1 z y x"]) -> Float[Tensor, "1 z y x"]:
    """A volume in [-1, 1] whose body's centre of mass is moved to the middle of the grid, air coming in.

    The shift is not rounded to whole voxels: noise that tips a rounding would move one copy by a voxel and not the
    other. Where there is no body, the volume stays as it is.
    """
    body = volume[0] > float(hu_to_model(torch.tensor(float(BODY_THRESHOLD_HU))))
    if not body.any():
        return volume
    moved = volume[0] - AIR  # air is 0, and so is what comes in
    for axis, size in enumerate(body.shape):
        mass = body.sum(dim=[other for other in range(3) if other != axis], dtype=torch.float64)
        centre = float((mass * torch.arange(size)).sum() / mass.sum())
        weights = torch.from_numpy(axis_weights(size, size, 1.0, centre - (size - 1) / 2))
        moved = torch.tensordot(weights, moved, dims=([1], [axis])).movedim(0, axis)
    return (moved + AIR)[None]
