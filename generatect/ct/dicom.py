"""DICOM in: the folder of one CT series becomes a canonical volume in HU, or one line that says why it cannot."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from generatect.ct.dicom_header import SliceHeader, quiet_pydicom
from generatect.ct.dicom_series import Series, choose_series, find_series
from generatect.ct.dicom_stack import Stack, stack_slices
from generatect.ct.hounsfield import AIR_BELOW_HU
from generatect.ct.orientation import closest_order
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import MAX_SLICES, files_below
from generatect.errors import InputError

PADDING_HU = -1000
"""What pixels become that a slice declares as not measured: air."""

_PIXEL_TAGS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
]


def read_series(path: str | Path | Sequence[str | Path], series: str | int | None = None) -> CTVolume:
    """Canonical CT volume of one axial DICOM series.

    Headers come first: slices are grouped by SeriesInstanceUID and sorted by position, never by name or InstanceNumber,
    and a stack that is not whole, even and straight is refused before a pixel is read. Localisers and series that are
    no axial CT are left out. Slope and intercept are each slice's own; pixels that it declares as padding become air.
    Names and free text in the tags are neither kept nor quoted: they can name a patient.

    Args:
        path: a folder, searched with its subfolders, or files; those that are no DICOM are passed over.
        series: where there are several, which one: its number in `list_series` (from 1) or the beginning of its UID.

    Returns:
        The volume, int16 where all slopes and intercepts are integers and the HU fit, else float32.

    Raises:
        InputError: anything that keeps it from being one CT volume.
    """
    folder, files = _files(path)
    found, damaged = find_series(files)
    if damaged:
        raise next(iter(damaged.values()))
    if not found:
        raise InputError(f"{folder}: no DICOM among {len(files)} files; expected the slices of one CT series")
    return read_stack(stack_slices(choose_series(found, series, folder)))


def list_series(folder: str | Path) -> list[Series]:
    """The series in a folder, of any kind, in the order of their first files; damaged files are passed over.

    Raises:
        InputError: no such folder, or too many files.
    """
    return find_series(files_below(Path(folder), MAX_SLICES))[0]


@quiet_pydicom()
def read_stack(stack: Stack) -> CTVolume:
    """Canonical volume of checked slices.

    Raises:
        InputError: pixels cannot be decoded, or are no CT.
    """
    for syntax_uid in sorted({header.syntax_uid for header in stack.slices}):
        _check_decoder(syntax_uid, stack.folder)
    exact = all(number.is_integer() for header in stack.slices for number in (header.slope, header.intercept))
    shape = (len(stack.slices), stack.slices[0].rows, stack.slices[0].columns)
    hu, limits = np.empty(shape, np.int16 if exact else np.float32), np.iinfo(np.int16)
    for index, header in enumerate(stack.slices):
        plane = _hu(header, exact)
        if hu.dtype == np.int16 and not limits.min <= plane.min() <= plane.max() <= limits.max:
            hu = hu.astype(np.float32)
        hu[index] = plane
    low, high = hu.min(), hu.max()
    if low == high:
        raise InputError(f"{stack.folder}: every voxel is {low:g}; expected an image")
    if low >= AIR_BELOW_HU:
        raise InputError(
            f"{stack.folder}: no voxel below {AIR_BELOW_HU} HU, the lowest is {low:g}, yet a chest holds air; likely "
            "the RescaleIntercept (often -1024) was lost: export the series anew"
        )
    order = closest_order(stack.affine)
    return CTVolume(np.ascontiguousarray(order.to_canonical(hu)), order.canonical_affine(stack.affine, shape))


def _files(path: str | Path | Sequence[str | Path]) -> tuple[Path, list[Path]]:
    """The folder to name in errors, and the files."""
    if isinstance(path, str | Path):
        path = Path(path)
        return (path.parent, [path]) if path.is_file() else (path, files_below(path, MAX_SLICES))
    files = [Path(file) for file in path]
    if not files:
        raise InputError("no files given; expected the slices of one CT series")
    return files[0].parent, files


def _check_decoder(syntax_uid: str, folder: Path) -> None:
    """Refuses a compression that nothing here can undo."""
    try:
        decoder = get_decoder(UID(syntax_uid))
    except NotImplementedError as error:
        name = UID(syntax_uid).name or "missing"
        raise InputError(f"{folder}: transfer syntax {name}, which pydicom cannot decode; store it anew") from error
    if not decoder.is_available:
        raise InputError(f"{folder}: compressed as {UID(syntax_uid).name}; {_advice(syntax_uid)}")


def _advice(syntax_uid: str) -> str:
    """What to install for a compression."""
    needed = [line for line in get_decoder(UID(syntax_uid)).missing_dependencies if line.startswith("pylibjpeg")]
    packages = needed[0].partition(" requires ")[2].replace(" and ", " ") if needed else ""
    quoted = " ".join(f'"{package}"' for package in packages.split())
    return f"pip install {quoted}, or store it uncompressed" if quoted else "store it uncompressed"


def _hu(header: SliceHeader, exact: bool) -> Shaped[np.ndarray, "rows columns"]:
    """HU of one slice: int64 if its numbers are integers, else float64."""
    stored = _stored(header)
    if exact:
        hu = stored.astype(np.int64) * int(header.slope) + int(header.intercept)
    else:
        hu = stored.astype(np.float64) * header.slope + header.intercept
    if header.padding:
        # Written signed for unsigned pixels or the other way round, the same bits are meant.
        low, high = np.array(header.padding, np.int64).astype(stored.dtype)
        hu[(stored >= low) & (stored <= high)] = PADDING_HU
    return hu


def _stored(header: SliceHeader) -> Shaped[np.ndarray, "rows columns"]:
    """Stored values of one slice."""
    try:
        pixels = pixel_array(dcmread(header.path, specific_tags=_PIXEL_TAGS), raw=True)
    except OSError as error:
        raise InputError(f"{header.path}: cannot be read ({error.strerror or 'damaged'}); copy it anew") from error
    except Exception as error:  # decoders raise almost anything
        compressed = UID(header.syntax_uid).is_compressed
        advice = f"; or it needs another decoder: {_advice(header.syntax_uid)}" if compressed else ""
        raise InputError(f"{header.path}: pixels missing, truncated or damaged; copy the file anew{advice}") from error
    if pixels.shape != (header.rows, header.columns) or pixels.dtype.kind not in "iu" or pixels.itemsize > 4:
        raise InputError(
            f"{header.path}: pixels of shape {pixels.shape}, {pixels.dtype}; expected integers, "
            f"{header.rows} × {header.columns}"
        )
    return pixels
