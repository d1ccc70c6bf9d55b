"""What a NIfTI header promises, checked before a voxel is read."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float64
from nibabel.spatialimages import HeaderDataError

from generatect.errors import InputError

HEADER_BYTES = 540
"""Enough for NIfTI-1 (348) and NIfTI-2 (540)."""

MAX_VOXELS = 1 << 30
"""1024 slices of 1024²: beyond any clinical chest CT; 4 GiB as float32."""

MAX_OFFSET = 1 << 26
SPACING_RANGE_MM = (0.1, 20.0)


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


def parse_header(block: bytes, path: Path, max_voxels: int = MAX_VOXELS) -> StoredGrid:
    """Checked header of a single-file NIfTI-1 or -2.

    Args:
        block: the file's first bytes, decompressed.
        path: named in errors.
        max_voxels: refuse more than this.

    Raises:
        InputError: not a NIfTI, not one 3-D volume of real numbers, or without a usable geometry.
    """
    header = _header(block, path)
    shape = _shape(header, path, max_voxels)
    try:
        dtype = header.get_data_dtype()
    except HeaderDataError as error:
        raise InputError(f"{path}: unknown data type {int(header['datatype'])}; expected integers or floats") from error
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: voxels of type {dtype}; expected integers or floats")
    offset = float(header["vox_offset"])
    if not header.single_vox_offset <= offset <= MAX_OFFSET:
        raise InputError(
            f"{path}: voxels start at byte {offset:g}; expected {header.single_vox_offset} to {MAX_OFFSET}"
        )
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):  # the format's way to say "not scaled"
        slope, intercept = 1.0, 0.0
    if not np.isfinite(intercept):
        raise InputError(f"{path}: header intercept is {intercept}; expected a number")
    return StoredGrid(shape, dtype, int(offset), slope, intercept, _affine(header, path))


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
    if num_axes < 3 or min(shape[:3]) < 2 or max(shape[3:], default=1) > 1:
        raise InputError(f"{path}: axes {shape}; expected one 3-D volume of at least 2 voxels along each axis")
    num_voxels = shape[0] * shape[1] * shape[2]
    if num_voxels > max_voxels:
        raise InputError(f"{path}: declares {num_voxels} voxels {shape}; expected at most {max_voxels}")
    return shape


def _affine(header: nib.Nifti1Header, path: Path) -> Float64[np.ndarray, "4 4"]:
    """The sform where it is set, else the qform; never a guess."""
    try:
        affine = header.get_sform(coded=True)[0]
        affine = header.get_qform(coded=True)[0] if affine is None else affine
    except (HeaderDataError, np.linalg.LinAlgError, ValueError) as error:
        raise InputError(f"{path}: the header's qform is not a rotation; expected a true affine") from error
    if affine is None:
        raise InputError(f"{path}: neither sform nor qform is set; expected an affine, since sides would be guesswork")
    affine = affine.astype(np.float64)
    if not np.isfinite(affine).all():
        raise InputError(f"{path}: the affine holds NaN or infinity; expected finite numbers")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_RANGE_MM
    if not (low <= spacing.min() and spacing.max() <= high):
        shown = " × ".join(f"{mm:.4g}" for mm in spacing)
        raise InputError(f"{path}: spacing {shown} mm; expected {low} to {high} mm (a CT affine in millimetres)")
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise InputError(f"{path}: the affine is singular (axes in one plane); expected three independent axes")
    return affine
