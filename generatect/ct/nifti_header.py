"""What a NIfTI header promises, checked before a voxel is read."""

import math
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float64
from nibabel.spatialimages import HeaderDataError

from generatect.ct.bounds import AXIS_RANGE, MAX_VOXELS, size_fault
from generatect.ct.nifti_affine import stored_affine
from generatect.errors import InputError

HEADER_BYTES = 540
"""Enough for NIfTI-1 (348) and NIfTI-2 (540)."""

MAX_OFFSET = 1 << 26
SPATIAL_UNIT_BITS, UNIT_UNKNOWN, UNIT_MILLIMETRE = 7, 0, 2
UNITS = {1: "metres", 3: "micrometres"}


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """The part of a header that matters: how voxels are stored and where they lie.

    Attributes:
        shape: stored shape: three axes, then only axes of length 1.
        dtype: type of the stored values, with byte order.
        offset: bytes before the first voxel.
        slope, intercept: stored value → HU.
        affine: stored index (i, j, k, 1) → RAS+ mm.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    slope: float
    intercept: float
    affine: Float64[np.ndarray, "4 4"]

    @property
    def num_bytes(self) -> int:
        """Bytes of all voxels as stored."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(
    block: bytes,
    path: Path,
    max_voxels: int = MAX_VOXELS,
    spacing_mm_zyx: tuple[float, float, float] | None = None,
    assume_axes: str | None = None,
) -> StoredGrid:
    """Checked header of a single-file NIfTI-1 or -2.

    Every field that a CT leaves no choice in is compared with what it must be: that is how damage shows.

    Args:
        block: the file's first bytes, decompressed.
        path: named in errors.
        max_voxels: refuse more than this.
        spacing_mm_zyx: true spacing, where the header's is known to be wrong; see `stored_affine`.
        assume_axes: where the axes point, where the header does not say; see `stored_affine`.

    Raises:
        InputError: not a NIfTI, not one 3-D volume of real numbers, or without a usable geometry.
    """
    header = _header(block, path)
    shape = _shape(header, path, max_voxels)
    dtype = _dtype(header, path)
    offset = float(header["vox_offset"])
    if not (header.single_vox_offset <= offset <= MAX_OFFSET and offset.is_integer()):
        raise InputError(
            f"{path}: voxels start at byte {offset:g}; expected {header.single_vox_offset} to {MAX_OFFSET}"
        )
    _require_fixed_fields(header, path)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):  # the format's way to say "not scaled"
        slope, intercept = 1.0, 0.0
    if not np.isfinite(intercept):
        raise InputError(f"{path}: header intercept is {intercept}; expected a number")
    affine = stored_affine(header, shape, path, spacing_mm_zyx, assume_axes)
    return StoredGrid(shape, dtype, int(offset), slope, intercept, affine)


def _header(block: bytes, path: Path) -> nib.Nifti1Header:
    """Header of the right version and byte order, told by its first four bytes."""
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        size = kind.template_dtype.itemsize
        for endianness in "<>":
            if len(block) >= size and np.frombuffer(block, f"{endianness}i4", count=1)[0] == size:
                header = kind(block[:size], endianness=endianness, check=False)
                if header["magic"].item() == kind.single_magic:
                    return header
    raise InputError(f"{path}: not a NIfTI file; expected a single .nii or .nii.gz")


def _shape(header: nib.Nifti1Header, path: Path, max_voxels: int) -> tuple[int, ...]:
    """Stored shape: 3-D, of an allowed size."""
    num_axes = int(header["dim"][0])
    sizes = tuple(int(size) for size in header["dim"][1:])
    if not 1 <= num_axes <= 7 or min(sizes[:num_axes]) < 1:
        raise InputError(f"{path}: impossible axes (dim = {num_axes}, {sizes}); expected a 3-D volume")
    shape = sizes[:num_axes]
    if num_axes < 3 or min(shape[:3]) < AXIS_RANGE[0] or max(shape[3:], default=1) > 1:
        raise InputError(
            f"{path}: axes {shape}; expected one 3-D volume of at least {AXIS_RANGE[0]} voxels along each axis"
        )
    if not {0, 1}.issuperset(sizes[num_axes:]):
        raise InputError(f"{path}: sizes {sizes} beyond its {num_axes} axes; expected 1 or 0 there")
    fault = size_fault(shape[:3], max_voxels)
    if fault is not None:
        raise InputError(f"{path}: declares {fault}")
    return shape


def _dtype(header: nib.Nifti1Header, path: Path) -> np.dtype:
    """Type of the stored values; its size is stated twice."""
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:  # nibabel raises the one for codes it knows, the other for the rest
        raise InputError(f"{path}: unknown data type {int(header['datatype'])}; expected integers or floats") from error
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: voxels of type {dtype}; expected integers or floats")
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        raise InputError(
            f"{path}: {int(header['bitpix'])} bits per voxel of type {dtype}; expected {8 * dtype.itemsize}"
        )
    return dtype


def _require_fixed_fields(header: nib.Nifti1Header, path: Path) -> None:
    """Refuses lengths in another unit, and voxels that mean something else than brightness."""
    unit = int(header["xyzt_units"]) & SPATIAL_UNIT_BITS
    if unit not in (UNIT_UNKNOWN, UNIT_MILLIMETRE):
        said = UNITS.get(unit, f"unit {unit}, which NIfTI does not define")
        raise InputError(f"{path}: lengths are in {said}; expected millimetres, so store them in millimetres")
    if int(header["intent_code"]) != 0:
        raise InputError(
            f"{path}: intent code {int(header['intent_code'])} marks labels, vectors or statistics; expected 0 (image)"
        )
