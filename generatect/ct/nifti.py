"""NIfTI in and out: nothing is believed before the header is checked, nothing is written but HU and geometry."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float64, Shaped

from generatect.ct.bounds import MAX_VOXELS, size_fault, spacing_fault
from generatect.ct.hounsfield import HUDecision, Scaling, decide_hu, require_policy, to_hu
from generatect.ct.nifti_affine import disagreement, qform_of
from generatect.ct.nifti_header import StoredGrid, parse_header
from generatect.ct.orientation import LPS, AxisOrder, closest_order
from generatect.ct.output import output_path
from generatect.ct.stored_voxels import open_stored
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import atomic_path


@dataclass(frozen=True, eq=False)
class NiftiLayout:
    """How a file stores its volume, so that a result can be given back in the same form.

    Attributes:
        shape: stored shape, with its trailing axes of length 1.
        affine: stored index (i, j, k, 1) → RAS+ mm, as in the file or as told instead.
        order: the way from stored axes to z y x.
        hu: how stored values became HU.
    """

    shape: tuple[int, ...]
    affine: Float64[np.ndarray, "4 4"]
    order: AxisOrder
    hu: HUDecision

    def to_stored(self, voxels: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "i j k"]:
        """View of canonical voxels in the file's order of axes."""
        return self.order.to_stored(voxels)

    def canonical_affine(self) -> Float64[np.ndarray, "4 4"]:
        """Affine of the canonical volume."""
        i, j, k = self.shape[:3]
        return self.order.canonical_affine(self.affine, (i, j, k))


def read_header(
    path: str | Path,
    *,
    spacing_mm_zyx: tuple[float, float, float] | None = None,
    assume_axes: str | None = None,
    max_voxels: int = MAX_VOXELS,
) -> StoredGrid:
    """What a file's header promises, checked, and compared with the file's size on disk; no voxel is read.

    Args and errors: as in `read_nifti_with_layout`.
    """
    path = Path(path)
    with open_stored(path) as file:
        grid = parse_header(file.header_block(), path, max_voxels, spacing_mm_zyx, assume_axes)
        file.require_plausible(grid)
    return grid


def read_nifti(
    path: str | Path,
    *,
    hu_policy: str = "auto",
    metadata: Scaling | None = None,
    spacing_mm_zyx: tuple[float, float, float] | None = None,
    assume_axes: str | None = None,
    max_voxels: int = MAX_VOXELS,
) -> CTVolume:
    """Canonical CT volume of a NIfTI file; see `read_nifti_with_layout`."""
    return read_nifti_with_layout(
        path,
        hu_policy=hu_policy,
        metadata=metadata,
        spacing_mm_zyx=spacing_mm_zyx,
        assume_axes=assume_axes,
        max_voxels=max_voxels,
    )[0]


def read_nifti_with_layout(
    path: str | Path,
    *,
    hu_policy: str = "auto",
    metadata: Scaling | None = None,
    spacing_mm_zyx: tuple[float, float, float] | None = None,
    assume_axes: str | None = None,
    max_voxels: int = MAX_VOXELS,
) -> tuple[CTVolume, NiftiLayout]:
    """Canonical CT volume of a NIfTI-1 or -2 file (`.nii`, `.nii.gz`), and how the file stored it.

    The header is checked before a single voxel is read, and a compressed file is read to its end, so that truncation
    and a wrong checksum are noticed. Free text in the header is neither kept nor quoted: it can name a patient.

    Args:
        path: the file.
        hu_policy: how stored values become HU; see `decide_hu`.
        metadata: the slope and intercept that a table states for the file.
        spacing_mm_zyx: true spacing along z, y, x where the header's is known to be wrong; the directions of its axes
            and the place of its first stored voxel stay.
        assume_axes: where the stored axes of a file point that states neither sform nor qform, such as "LPS"; None
            refuses such a file.
        max_voxels: refuse files that declare more.

    Returns:
        The volume, int16 where that is exact and float32 otherwise, and the file's layout.

    Raises:
        InputError: anything that keeps the file from being one CT volume.
    """
    path = Path(path)
    require_policy(hu_policy)
    with open_stored(path) as file:
        grid = parse_header(file.header_block(), path, max_voxels, spacing_mm_zyx, assume_axes)
        file.require_plausible(grid)
        stored = file.voxels(grid)
    _require_image(stored, path)
    header = Scaling(grid.slope, grid.intercept)
    decision = decide_hu(stored, header=header, metadata=metadata, policy=hu_policy, path=path)
    hu = to_hu(stored, decision)
    _require_finite(hu, path)
    layout = NiftiLayout(grid.shape, grid.affine, closest_order(grid.affine), decision)
    return CTVolume(np.ascontiguousarray(layout.order.to_canonical(hu)), layout.canonical_affine()), layout


def write_nifti(path: str | Path, volume: CTVolume, layout: NiftiLayout | None = None, description: str = "") -> None:
    """Write a volume as int16 HU with its true geometry: slope 1, intercept 0, sform and qform in scanner millimetres.

    The same volume gives the same bytes. The file appears whole or not at all. What `read_nifti` would refuse for its
    grid is not written. A qform holds no shear: where axes are not quite at right angles, the sform stands alone.

    Args:
        path: `.nii.gz` or `.nii`.
        volume: canonical volume; HU are rounded, and clipped to what int16 holds.
        layout: give the voxels the order of axes, shape and affine of this input; None: stored as LPS.
        description: text for the header, such as SYNTHETIC; at most 79 ASCII characters.

    Raises:
        InputError: the name, folder or description cannot be used, or the volume holds NaN, is off the layout's grid or
            beyond the bounds of a CT (`generatect.ct.bounds`).
        OSError: the disk is full or fails.
    """
    path = output_path(path, (".nii", ".nii.gz"))
    if not description.isascii() or len(description) > 79:
        raise InputError(f"description={description!r}: expected at most 79 ASCII characters")
    if not np.isfinite([volume.voxels_hu.min(), volume.voxels_hu.max()]).all():
        raise InputError(f"{path}: the volume to write holds NaN or infinite voxels; check the model that made it")
    stored, shape, affine = _as_stored(path, volume, layout)
    fault = size_fault(shape[:3]) or spacing_fault(np.linalg.norm(affine[:3, :3], axis=0), shape)
    if fault is not None:
        raise InputError(f"{path}: a volume to write has {fault}")
    content = chain([_output_header(shape, affine, description)], _voxel_bytes(stored))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        if path.name.endswith(".gz"):
            # No name and no time in the gzip header: equal volumes, equal bytes. Level 1: on CT, level 6 is 1 % smaller
            # and takes three times as long.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=1) as compressed:
                compressed.writelines(content)
        else:
            file.writelines(content)


def nifti_bytes(volume: CTVolume, description: str = "") -> Iterator[bytes]:
    """The bytes of an uncompressed NIfTI file as `write_nifti` would write it: the header, then slice by slice.

    Args:
        volume: canonical volume of finite HU.
        description: text for the header; at most 79 ASCII characters.
    """
    stored, shape, affine = _as_stored(Path(), volume, None)
    yield _output_header(shape, affine, description)
    yield from _voxel_bytes(stored)


def _require_image(stored: np.ndarray, path: Path) -> None:
    """Refuses voxels that are no numbers, or all the same."""
    _require_finite(stored, path)
    first, middle = stored[0, 0, 0], stored[:, :, stored.shape[2] // 2]
    if (middle == first).all() and (stored == first).all():
        raise InputError(f"{path}: every voxel is {first:g}; expected an image")


def _require_finite(values: np.ndarray, path: Path) -> None:
    """Refuses NaN and infinity, which show in the extremes."""
    if values.dtype.kind == "f" and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise InputError(f"{path}: some voxels are NaN or infinite; expected finite HU")


def _as_stored(
    path: Path, volume: CTVolume, layout: NiftiLayout | None
) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    """View of the voxels in storage order, with the shape and affine for the header."""
    if layout is None:
        stored = LPS.to_stored(volume.voxels_hu)
        columns = [*np.argsort(LPS.stored_axis), 3]  # LPS reverses nothing
        return stored, stored.shape, volume.affine[:, columns]
    stored = layout.to_stored(volume.voxels_hu)
    if stored.shape != layout.shape[:3] or not np.allclose(volume.affine, layout.canonical_affine(), atol=1e-3):
        raise InputError(
            f"{path}: a volume of {volume.shape_zyx} voxels is not on the grid of its input; resample_like first"
        )
    return stored, layout.shape, layout.affine


def _output_header(shape: tuple[int, ...], affine: np.ndarray, description: str) -> bytes:
    """NIfTI-1 header of an int16 volume, with the four bytes that say it has no extension."""
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)  # without the shear, if there is any
    if disagreement(affine, qform_of(header), header, shape) is not None:
        header["qform_code"] = 0
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    header["descrip"] = description.encode("ascii")
    return header.binaryblock + bytes(4)


def _voxel_bytes(stored: np.ndarray) -> Iterator[bytes]:
    """Voxels as little-endian int16, slice by slice, so that no second volume is ever held."""
    limits = np.iinfo(np.int16)
    for plane in np.moveaxis(stored, 2, 0):
        yield np.rint(plane).clip(limits.min, limits.max).astype("<i2").tobytes(order="F")
