"""What a DICOM file says of its slice: numbers, codes and UIDs. No name and no free text of it is kept."""

import contextlib
import hashlib
import logging
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from generatect.errors import InputError

PLANES = ("sagittal", "coronal", "axial")
"""Kinds of slices by the patient's axis that their normal is nearest to: left, posterior, superior."""

UNIT_TOLERANCE = 5e-3
_MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_TAGS = [
    *("SOPClassUID", "Modality", "ImageType", "StudyInstanceUID", "SeriesInstanceUID", "NumberOfFrames"),
    *("PatientID", "PatientAge", "PatientSex"),
    *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
]


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice, without its pixels. What is missing or unreadable is 0, NaN or empty.

    Attributes:
        path: the file.
        num_bytes: its size.
        kind: "axial", "coronal" or "sagittal"; or why it is no slice of a scan: "localiser", "multi-frame", "unplaced"
            (its position or orientation is missing or impossible) or "not CT".
        series_uid: SeriesInstanceUID.
        syntax_uid: transfer syntax, that is how the pixels are compressed.
        rows, columns: size in pixels.
        spacing_mm: distance between rows, and between columns.
        position_mm: centre of the first pixel, LPS.
        orientation: LPS unit vectors in which the column and the row index grow, one after the other.
        slope, intercept: stored value → HU.
        unreadable: tags of these that are there and hold no numbers, such as "0,75".
        is_hu: RescaleType is HU, unspecified or absent; a spectral map has another.
        padding: lowest and highest stored value that stand for "nothing measured here".
        patient: hash of PatientID. It hides the ID from the eye, not from somebody who can guess it.
        age: DICOM age, such as "045Y".
        sex: "M", "F" or "O".
    """

    path: Path
    num_bytes: int
    kind: str
    series_uid: str
    syntax_uid: str
    rows: int
    columns: int
    spacing_mm: tuple[float, ...]
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    slope: float
    intercept: float
    unreadable: tuple[str, ...]
    is_hu: bool
    padding: tuple[int, ...]
    patient: str
    age: str
    sex: str


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keeps pydicom's warnings and log, which may quote tags, off the terminal."""
    logger = logging.getLogger("pydicom")
    before, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.propagate = before


@quiet_pydicom()
def read_header(path: Path) -> SliceHeader | None:
    """The slice of a file; None where it is no DICOM file, or the directory of a medium (DICOMDIR).

    Raises:
        InputError: it cannot be read, or is damaged before its pixels.
    """
    try:
        num_bytes = path.stat().st_size
        meta = read_file_meta_info(path)
        is_directory = meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage
        is_deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        # A deflated file would be inflated as a whole, whatever its size, before anything could be checked.
        skip = is_directory or is_deflated
        dataset = Dataset() if skip else dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
    except InvalidDicomError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a DICOM file") from error
    except Exception as error:  # a damaged file makes pydicom raise almost anything, with values of tags in the message
        raise InputError(f"{path}: damaged DICOM header ({type(error).__name__}); copy the file anew") from error
    if is_directory:
        return None
    if is_deflated:
        raise InputError(f"{path}: a deflated DICOM file; store it uncompressed (dcmconv --write-xfer-little)")
    may_be_ct = _text(dataset, "Modality") in ("", "CT") and _text(dataset, "SOPClassUID") in ("", CTImageStorage)
    if may_be_ct and not _number(dataset, "Rows", 0.0):  # pydicom takes a file that ends early for a short one
        raise InputError(f"{path}: DICOM header without Rows, likely truncated; copy the file anew")
    return _slice(path, num_bytes, _uid(meta, "TransferSyntaxUID"), dataset)


def _slice(path: Path, num_bytes: int, syntax_uid: str, dataset: Dataset) -> SliceHeader:
    orientation = _orientation(dataset)
    position = _numbers(dataset, "ImagePositionPatient", 3)
    patient = _text(dataset, "PatientID") or _text(dataset, "StudyInstanceUID")
    age, sex = _text(dataset, "PatientAge").upper(), _text(dataset, "PatientSex").upper()
    return SliceHeader(
        path=path,
        num_bytes=num_bytes,
        kind=_kind(dataset, orientation if position else ()),
        series_uid=_uid(dataset, "SeriesInstanceUID"),
        syntax_uid=syntax_uid,
        rows=int(_number(dataset, "Rows", 0.0)),
        columns=int(_number(dataset, "Columns", 0.0)),
        spacing_mm=_numbers(dataset, "PixelSpacing", 2),
        position_mm=position,
        orientation=orientation,
        slope=_number(dataset, "RescaleSlope"),
        intercept=_number(dataset, "RescaleIntercept"),
        unreadable=tuple(
            tag for tag in ("PixelSpacing", "RescaleSlope", "RescaleIntercept") if _is_words(dataset, tag)
        ),
        is_hu=_text(dataset, "RescaleType").upper() in ("", "HU", "US"),
        padding=_padding(dataset),
        patient=hashlib.sha256(patient.encode()).hexdigest()[:16] if patient else "",
        age=age if re.fullmatch(r"\d{1,3}[DWMY]", age) else "",
        sex=sex if sex in ("M", "F", "O") else "",
    )


def _kind(dataset: Dataset, orientation: tuple[float, ...]) -> str:
    modality, sop_class = _text(dataset, "Modality"), _text(dataset, "SOPClassUID")
    if modality != "CT" and (modality or sop_class not in (CTImageStorage, *_MULTI_FRAME)):
        return "not CT"
    if sop_class in _MULTI_FRAME or _number(dataset, "NumberOfFrames", 1.0) > 1:
        return "multi-frame"
    if "LOCALIZER" in _text(dataset, "ImageType").upper():
        return "localiser"
    if not orientation:
        return "unplaced"
    return PLANES[int(np.abs(np.cross(orientation[:3], orientation[3:])).argmax())]


def _orientation(dataset: Dataset) -> tuple[float, ...]:
    """Two perpendicular unit vectors, freed of rounding; empty where the file gives no such."""
    cosines = _numbers(dataset, "ImageOrientationPatient", 6)
    if not cosines:
        return ()
    along_row, down_column = np.array(cosines).reshape(2, 3)
    products = (along_row @ along_row - 1, down_column @ down_column - 1, along_row @ down_column)
    if max(map(abs, products)) > UNIT_TOLERANCE:
        return ()
    lengths = np.repeat([np.linalg.norm(along_row), np.linalg.norm(down_column)], 3)
    return tuple((np.array(cosines) / lengths).tolist())


def _padding(dataset: Dataset) -> tuple[int, ...]:
    """Both ends of the range, which are part of it; what is beyond 32 bits cannot be a pixel."""
    first = _number(dataset, "PixelPaddingValue")
    low, high = sorted((first, _number(dataset, "PixelPaddingRangeLimit", first)))
    return (int(low), int(high)) if -(2**32) < low <= high < 2**32 else ()


def _value(dataset: Dataset, keyword: str) -> object:
    """A tag's value; None where it is absent, empty or unreadable."""
    try:
        value = dataset.get(keyword)
    except Exception:  # whatever the bytes of one tag lead to
        return None
    return None if value == "" else value


def _is_words(dataset: Dataset, keyword: str) -> bool:
    """Whether a tag of numbers is there and holds something else."""
    try:
        np.array(_value(dataset, keyword), dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        return True
    return False


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Exactly `count` finite numbers, or nothing."""
    try:
        numbers = np.array(_value(dataset, keyword), dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        return ()
    return tuple(numbers.tolist()) if numbers.shape == (count,) and np.isfinite(numbers).all() else ()


def _number(dataset: Dataset, keyword: str, missing: float = math.nan) -> float:
    return (*_numbers(dataset, keyword, 1), missing)[0]


def _text(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip()


def _uid(dataset: Dataset, keyword: str) -> str:
    """A UID; what stands there and is none may be anything, and is replaced by its hash."""
    uid = _text(dataset, keyword)
    return uid if re.fullmatch(r"[0-9.]{0,64}", uid) else f"invalid-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"
