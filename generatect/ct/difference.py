"""Two volumes of one place: whether they overlap, and what differs."""

import numpy as np
from jaxtyping import Float64

from generatect.ct.resample import resample_like
from generatect.ct.volume import CTVolume

SAME_PLACE_SHARE = 0.5
"""Volumes that share so much of the smaller one's extent along each axis are taken for scans of one place."""


def difference(first: CTVolume, second: CTVolume) -> CTVolume:
    """`second` - `first` in HU on the first one's grid; 0 where the second holds nothing.

    Raises:
        InputError: the two have different axis directions.
    """
    if second.shape_zyx == first.shape_zyx and np.allclose(second.affine, first.affine):
        other = second.voxels_hu
    else:
        other = resample_like(second, first).voxels_hu
    limits = np.iinfo(np.int16)
    result = np.rint(other - first.voxels_hu.astype(np.float32)).clip(limits.min, limits.max).astype(np.int16)
    for axis, inside in enumerate(_covered(first, second)):
        np.moveaxis(result, axis, 0)[~inside] = 0
    return CTVolume(result, first.affine)


def offset_mm(first: CTVolume, second: CTVolume) -> Float64[np.ndarray, "3"]:
    """What leads from a place (RAS+ mm) in the first volume to the like place in the second.

    Nothing where both lie in one place; otherwise from centre to centre, as for two patients.
    """
    boxes = [_box(volume) for volume in (first, second)]
    shared = np.minimum(boxes[0][1], boxes[1][1]) - np.maximum(boxes[0][0], boxes[1][0])
    smaller = np.minimum(*(high - low for low, high in boxes))
    if (shared >= SAME_PLACE_SHARE * smaller).all():
        return np.zeros(3)
    return second.centre_mm - first.centre_mm


def _box(volume: CTVolume) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest RAS+ mm of a volume's extent."""
    half = np.abs(volume.affine[:3, :3]) @ np.array(volume.shape_zyx) / 2
    return volume.centre_mm - half, volume.centre_mm + half


def _covered(first: CTVolume, second: CTVolume) -> list[np.ndarray]:
    """For each axis, which indices of the first volume lie inside the second one; their axes are parallel."""
    to_second = np.linalg.solve(second.affine, first.affine)
    return [
        np.abs(to_second[axis, axis] * np.arange(first.shape_zyx[axis]) + to_second[axis, 3] - (count - 1) / 2)
        <= count / 2
        for axis, count in enumerate(second.shape_zyx)
    ]
