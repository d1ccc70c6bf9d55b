"""NIfTI in and out: nothing is believed before the header is checked, nothing is written but HU and geometry."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float64, Shaped

from generatect.ct.nifti_header import HEADER_BYTES, MAX_VOXELS, StoredGrid, parse_header
from generatect.ct.orientation import LPS, AxisOrder, closest_order
from generatect.ct.output import output_path
from generatect.ct.volume import CTVolume
from generatect.errors import InputError
from generatect.files import atomic_path

CHUNK_BYTES = 1 << 24
HU_POLICIES = ("header", "unchecked")
AIR_BELOW_HU = -300
"""A CT of a chest holds lung and the air around the patient: some voxel lies below."""


@dataclass(frozen=True, eq=False)
class NiftiLayout:
    """How a file stores its volume, so that a result can be given back in the same form.

    Attributes:
        shape: stored shape, with its trailing axes of length 1.
        affine: stored index (i, j, k, 1) → RAS+ mm, as in the file.
        order: the way from stored axes to z y x.
    """

    shape: tuple[int, ...]
    affine: Float64[np.ndarray, "4 4"]
    order: AxisOrder

    def to_stored(self, voxels: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "i j k"]:
        """View of canonical voxels in the file's order of axes."""
        return self.order.to_stored(voxels)

    def canonical_affine(self) -> Float64[np.ndarray, "4 4"]:
        """Affine of the canonical volume."""
        i, j, k = self.shape[:3]
        return self.order.canonical_affine(self.affine, (i, j, k))


def read_nifti(path: str | Path, *, hu_policy: str = "header", max_voxels: int = MAX_VOXELS) -> CTVolume:
    """Canonical CT volume of a NIfTI file; see `read_nifti_with_layout`."""
    return read_nifti_with_layout(path, hu_policy=hu_policy, max_voxels=max_voxels)[0]


def read_nifti_with_layout(
    path: str | Path, *, hu_policy: str = "header", max_voxels: int = MAX_VOXELS
) -> tuple[CTVolume, NiftiLayout]:
    """Canonical CT volume of a NIfTI-1 or -2 file (`.nii`, `.nii.gz`), and how the file stored it.

    The header is checked before a single voxel is read, and a compressed file is read to its end, so that truncation
    and a wrong checksum are noticed. Free text in the header is neither kept nor quoted: it can name a patient.

    Args:
        path: the file.
        hu_policy: how stored values become HU. "header": by the header's slope and intercept, and some must be air.
            "unchecked": the same, for files without air or whose intercept stands elsewhere.
        max_voxels: refuse files that declare more.

    Returns:
        The volume, int16 where the file holds unscaled int16 and float32 otherwise, and the file's layout.

    Raises:
        InputError: anything that keeps the file from being one CT volume.
    """
    path = Path(path)
    if hu_policy not in HU_POLICIES:
        raise InputError(f"hu_policy={hu_policy!r}: expected one of {', '.join(HU_POLICIES)}")
    try:
        stored, grid = _read_stored(path, max_voxels)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "truncated or damaged"
        raise InputError(f"{path}: cannot be read ({reason}); expected a whole .nii or .nii.gz file") from error
    hu = _header_hu(stored, grid)
    low, high = hu.min(), hu.max()  # NaN and infinity show in these
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{path}: some voxels are NaN or infinite; expected finite HU")
    if low == high:
        raise InputError(f"{path}: every voxel is {low:g}; expected an image")
    if hu_policy == "header" and low >= AIR_BELOW_HU:
        raise InputError(
            f"{path}: no voxel below {AIR_BELOW_HU} HU, the lowest is {low:g}, yet a chest holds air; likely these "
            "are stored values whose intercept (often -1024) the header lacks: put it there, or store HU"
        )
    layout = NiftiLayout(grid.shape, grid.affine, closest_order(grid.affine))
    return CTVolume(np.ascontiguousarray(layout.order.to_canonical(hu)), layout.canonical_affine()), layout


def write_nifti(path: str | Path, volume: CTVolume, layout: NiftiLayout | None = None, description: str = "") -> None:
    """Write a volume as int16 HU with its true geometry: slope 1, intercept 0, sform and qform in scanner millimetres.

    The same volume gives the same bytes. The file appears whole or not at all.

    Args:
        path: `.nii.gz` or `.nii`.
        volume: canonical volume; HU are rounded, and clipped to what int16 holds.
        layout: give the voxels the order of axes, shape and affine of this input; None: stored as LPS.
        description: text for the header, such as SYNTHETIC; at most 79 ASCII characters.

    Raises:
        InputError: the name, folder or description cannot be used, or the volume holds NaN or is off the layout's grid.
        OSError: the disk is full or fails.
    """
    path = output_path(path, (".nii", ".nii.gz"))
    if not description.isascii() or len(description) > 79:
        raise InputError(f"description={description!r}: expected at most 79 ASCII characters")
    if not np.isfinite([volume.voxels_hu.min(), volume.voxels_hu.max()]).all():
        raise InputError(f"{path}: the volume to write holds NaN or infinite voxels; check the model that made it")
    stored, shape, affine = _as_stored(path, volume, layout)
    content = chain([_output_header(shape, affine, description)], _voxel_bytes(stored))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        if path.name.endswith(".gz"):
            # No name and no time in the gzip header: equal volumes, equal bytes. Level 1: on CT, level 6 is 1 % smaller
            # and takes three times as long.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=1) as compressed:
                compressed.writelines(content)
        else:
            file.writelines(content)


def _read_stored(path: Path, max_voxels: int) -> tuple[np.ndarray, StoredGrid]:
    """Voxels as stored, shaped (i, j, k), and the checked header."""
    with path.open("rb") as probe:
        is_gzip = probe.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_gzip else path.open("rb") as file:
        grid = parse_header(file.read(HEADER_BYTES), path, max_voxels)
        file.seek(grid.offset)
        # np.empty takes no memory until it is filled, so a short file with great promises costs nothing.
        buffer = np.empty(int(np.prod(grid.shape)) * grid.dtype.itemsize, np.uint8)
        for start in range(0, buffer.size, CHUNK_BYTES):
            chunk = buffer.data[start : start + CHUNK_BYTES]
            if file.readinto(chunk) != len(chunk):
                raise EOFError
        if len(file.read(CHUNK_BYTES)) == CHUNK_BYTES:  # reading on makes gzip compare its checksum
            raise InputError(f"{path}: holds more data than its header declares; expected one 3-D volume")
    return buffer.view(grid.dtype).reshape(grid.shape[:3], order="F"), grid


def _header_hu(stored: np.ndarray, grid: StoredGrid) -> np.ndarray:
    """HU by the header's scaling: int16 stays as it is where nothing is scaled, all else becomes float32."""
    if stored.dtype.kind == "i" and stored.dtype.itemsize == 2 and (grid.slope, grid.intercept) == (1, 0):
        return stored.astype(np.int16, copy=False)  # the other byte order becomes this machine's
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused as such
        hu = stored.astype(np.float32)
        hu *= np.float32(grid.slope)
        hu += np.float32(grid.intercept)
    return hu


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
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
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
