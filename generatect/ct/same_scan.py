"""Which volumes may be the same scan, told from a first look at each, and which are, told from all voxels.

The same scan comes in many files: packed anew, in another data type, with another header, under another patient.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from generatect.ct.dicom import read_stack
from generatect.ct.dicom_stack import Stack
from generatect.ct.intensity import HU_RANGE
from generatect.ct.nifti_header import MAX_VOXELS, StoredGrid, parse_header
from generatect.ct.orientation import closest_order
from generatect.ct.stored_voxels import StoredFile, open_stored
from generatect.errors import InputError

MAX_PLANE_BYTES, MAX_PLANES = 1 << 22, 16
"""How much of a file is looked at: a plane of 1024 × 2048 int16, and so many planes until one tells."""

TELLING_VALUES = 8
"""A plane of fewer different values is padding, a mask or a computed shape, and may be that of many volumes."""


def voxel_hash(voxels_hu: Shaped[np.ndarray, "z y x"]) -> str:
    """Hash of canonical voxels as networks see them: in whole HU, within `HU_RANGE`.

    Neither the way of storing them nor the place in the scanner counts, nor what padding is worth: an anonymised or
    re-exported scan is the same scan.
    """
    digest = hashlib.sha256(repr(voxels_hu.shape).encode())
    for plane in voxels_hu:
        digest.update(np.rint(plane).clip(*HU_RANGE).astype("<i2").tobytes())
    return digest.hexdigest()


def glimpse_of_nifti(
    path: Path, *, spacing_mm_zyx: tuple[float, float, float] | None = None, assume_axes: str | None = None
) -> str | None:
    """Hash of the shape and of where the first stored plane that tells is above its mean.

    Scaling, data type, compression and a reversal within the plane leave it as it is. A scan that is stored in another
    order of axes, or from the other end, has another one; and two scans may share one. None: nothing is seen, as the
    first planes are all of one value or cannot be read.

    Args:
        path: the file.
        spacing_mm_zyx: as in `read_nifti`.
        assume_axes: as in `read_nifti`.
    """
    try:
        with open_stored(path) as file:
            grid = parse_header(file.header_block(), path, MAX_VOXELS, spacing_mm_zyx, assume_axes)
            order = closest_order(grid.affine)
            shadow = _telling(order.to_canonical(plane) for plane in _first_planes(file, grid))
        return None if shadow is None else _hashed(tuple(grid.shape[axis] for axis in order.stored_axis), shadow)
    except (InputError, ValueError):  # what keeps it from being read is said elsewhere
        return None


def glimpse_of_series(stack: Stack) -> str | None:
    """As `glimpse_of_nifti`, of the lowest slice of a DICOM series."""
    first = stack.slices[0]
    try:
        plane = read_stack(replace(stack, slices=(first,))).voxels_hu
    except InputError:
        return None
    shadow = _shadow(plane)
    return None if shadow is None else _hashed((len(stack.slices), *plane.shape[1:]), shadow)


def _first_planes(file: StoredFile, grid: StoredGrid) -> Iterator[Shaped[np.ndarray, "i j 1"]]:
    """Planes across the last stored axis, or their first lines where planes are large."""
    i, j, k = grid.shape[:3]
    bytes_of_line = i * grid.dtype.itemsize
    lines = min(j, MAX_PLANE_BYTES // bytes_of_line)
    for number in range(min(k, MAX_PLANES)) if lines else ():
        file.content.seek(grid.offset + number * j * bytes_of_line)
        content = file.content.read(lines * bytes_of_line)
        yield np.frombuffer(content, grid.dtype).reshape((i, lines, 1), order="F")


def _telling(planes: Iterator[Shaped[np.ndarray, "z y x"]]) -> bytes | None:
    """Shadow of the first plane that tells, or else of the first that has one."""
    otherwise = None
    for plane in planes:
        shadow = _shadow(plane)
        if shadow is not None and len(np.unique(plane.ravel()[:: max(1, plane.size // 512)])) >= TELLING_VALUES:
            return shadow
        otherwise = otherwise or shadow
    return otherwise


def _shadow(plane: Shaped[np.ndarray, "z y x"]) -> bytes | None:
    """Where a plane is above its mean, as bits; None where it is of one value or of no number."""
    with np.errstate(invalid="ignore"):
        mean = plane.mean(dtype=np.float64)
    above = plane > mean
    return repr(plane.shape).encode() + np.packbits(above).tobytes() if np.isfinite(mean) and above.any() else None


def _hashed(shape_zyx: tuple[int, ...], shadow: bytes) -> str:
    return hashlib.sha256(repr(shape_zyx).encode() + shadow).hexdigest()[:32]
