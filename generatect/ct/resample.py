"""Resampling between grids with parallel axes, as one small matrix per axis.

Linear interpolation, area averaging, cropping and padding are all linear and separable: the result is
`Wz · Wy · Wx · volume`, where row i of a W says which input voxels make output voxel i. Those lie side by side, so a
few rows need only a small window of the input: the work goes block by block, and no volume is widened to float32 whole.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from generatect.ct.grid import Grid, affine_of
from generatect.ct.volume import CTVolume
from generatect.errors import InputError

AIR_HU = -1000.0
BLOCK_SLICES = 16
"""Slices, of input or output, handled at a time."""

WINDOW_ROWS = 16
"""Output rows or columns made at a time from their window of the input."""


def resample_to_grid(
    volume: CTVolume,
    grid: Grid,
    *,
    antialias: bool = True,
    fill_hu: float = AIR_HU,
    clip_hu: tuple[float, float] | None = None,
) -> CTVolume:
    """Put a volume on a grid that shares its centre and its axes; what lies outside the volume is `fill_hu`.

    Args:
        volume: any volume.
        grid: shape and spacing of the result. A larger field of view pads, a smaller one crops.
        antialias: average over the output voxel where the grid is coarser; otherwise interpolate between neighbours.
        fill_hu: HU outside the volume.
        clip_hu: bounds that the volume's values are clipped to beforehand; None: taken as they are.

    Returns:
        float32 HU on the grid, with the volume's axis directions and centre.
    """
    affine = affine_of(grid.shape_zyx, grid.spacing_mm_zyx, volume.directions, volume.centre_mm)
    return _resample(volume, grid.shape_zyx, affine, antialias, fill_hu, clip_hu)


def resample_like(
    volume: CTVolume, reference: CTVolume, *, antialias: bool = True, fill_hu: float = AIR_HU
) -> CTVolume:
    """Put a volume on the very grid of `reference`: the way back from `resample_to_grid`.

    Raises:
        InputError: the two have different axis directions, so that a rotation would be needed.
    """
    return _resample(volume, reference.shape_zyx, reference.affine, antialias, fill_hu, None)


def axis_weights(
    num_in: int, num_out: int, step: float, start: float, antialias: bool = True
) -> Float32[np.ndarray, "out in"]:
    """Weights of `num_in` input voxels in each of `num_out` output voxels along one axis.

    Output voxel i is centred at input index `start + i·step` and is `step` wide. Its weights are the overlaps of a box
    with the input voxels. A box as wide as an output voxel is the exact area average; a box one input voxel wide is
    exactly linear interpolation; the wider of the two is taken, so the change at step 1 is seamless and step 1 without
    shift is the identity. Weights sum to the share of the output voxel that lies inside the input: the outermost
    values extend to the faces of their voxels and not beyond.
    """
    centres = start + step * np.arange(num_out)[:, None]
    box = max(step, 1.0) if antialias else 1.0
    faces = np.arange(num_in) - 0.5
    weights = _overlap(centres, box, faces, faces + 1)
    total = weights.sum(axis=1, keepdims=True)
    inside = _overlap(centres, step, -0.5, num_in - 0.5) / step
    return np.divide(weights * inside, total, out=np.zeros_like(weights), where=total > 0).astype(np.float32)


def _overlap(
    centres: Float64[np.ndarray, "out 1"], width: float, low: np.ndarray | float, high: np.ndarray | float
) -> Float64[np.ndarray, "out in"]:
    """Length that [centre ± width/2] shares with [low, high]."""
    return np.clip(np.minimum(centres + width / 2, high) - np.maximum(centres - width / 2, low), 0, None)


def _resample(
    volume: CTVolume,
    shape_zyx: tuple[int, int, int],
    affine: np.ndarray,
    antialias: bool,
    fill_hu: float,
    clip_hu: tuple[float, float] | None,
) -> CTVolume:
    """Volume on the grid of `shape_zyx` and `affine`, whose axes must be parallel to the volume's."""
    to_input = np.linalg.solve(volume.affine, affine)  # output index → input index
    steps = np.diag(to_input)[:3]
    drift = np.abs(to_input[:3, :3] - np.diag(steps)) @ (np.array(shape_zyx) - 1)
    if drift.max() > 0.1 or steps.min() <= 0:
        raise InputError(
            "the two volumes have different axis directions; expected axes within 0.1 voxel of parallel: "
            "give a reference of the same orientation"
        )
    sizes = zip(volume.shape_zyx, shape_zyx, steps, to_input[:3, 3], strict=True)
    weights_zyx = [torch.from_numpy(axis_weights(*size, antialias)) for size in sizes]
    # What shrinks most comes first, and leaves less to do for the others.
    order = sorted(range(3), key=lambda axis: shape_zyx[axis] / volume.shape_zyx[axis])

    result = torch.empty(shape_zyx)
    num_slices = int(np.clip(BLOCK_SLICES / steps[0], 1, BLOCK_SLICES))
    for start in range(0, shape_zyx[0], num_slices):
        slices = weights_zyx[0][start : start + num_slices]
        window = _window(slices)
        block = torch.from_numpy(volume.voxels_hu[window].astype(np.float32, order="C"))
        if clip_hu is not None:
            block.clamp_(*clip_hu)
        block_weights = [slices[:, window], *weights_zyx[1:]]
        for axis in order:
            block = _contract(block_weights[axis], block, axis)
        z, y, x = (weights.sum(dim=1) for weights in block_weights)  # shares that lie inside the volume
        block += fill_hu * (1 - z[:, None, None] * y[:, None] * x)
        result[start : start + num_slices] = block
    return replace(volume, voxels_hu=result.numpy(), affine=affine)


def _contract(weights: Float32[Tensor, "out in"], block: Float32[Tensor, "z y x"], axis: int) -> Tensor:
    """Weights times one axis of a block, a few rows at a time: each needs only its window of the block."""
    shape = list(block.shape)
    shape[axis] = len(weights)
    result = block.new_empty(shape)
    for start in range(0, len(weights), WINDOW_ROWS):
        rows = weights[start : start + WINDOW_ROWS]
        window = _window(rows)
        rows, seen = rows[:, window], block.narrow(axis, window.start, window.stop - window.start)
        match axis:
            case 0:
                product = (rows @ seen.flatten(1)).unflatten(1, seen.shape[1:])
            case 1:
                product = rows @ seen
            case _:
                product = seen @ rows.T
        result.narrow(axis, start, len(rows)).copy_(product)
    return result


def _window(rows: Float32[Tensor, "out in"]) -> slice:
    """The input voxels that any of the output voxels needs."""
    used = rows.any(dim=0).nonzero()
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
