"""Small DICOM series for tests, written tag by tag."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (5, 6, 8)
"""Slices, rows, columns."""
SPACING_MM = (0.75, 1.25)
"""Between rows, and between columns."""
SERIES_UID = "1.2.826.0.1.3680043.8.498.1"
SUPINE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def unique_hu() -> np.ndarray:
    """HU [slice, row, column], each value once, from air to bone."""
    return np.random.default_rng(3).permutation(np.arange(-1000, -1000 + 5 * np.prod(SHAPE), 5)).reshape(SHAPE)


def straight(origin: Sequence[float] = (-20.0, 30.0, -100.0), step: Sequence[float] = (0.0, 0.0, 2.5)) -> np.ndarray:
    """Positions [slice, 3] along a line, in LPS mm."""
    return np.array(origin) + np.arange(SHAPE[0])[:, None] * np.array(step)


def slice_of(hu: np.ndarray, position: Iterable[float], number: int, **tags: object) -> Dataset:
    """One slice of a CT, with `tags` instead of the usual ones; None leaves a tag out."""
    slope, intercept = tags.get("RescaleSlope", 1), tags.get("RescaleIntercept", -1024)
    stored = np.rint((hu - float(intercept or 0)) / float(slope or 1))
    dtype = np.int16 if tags.get("PixelRepresentation") == 1 else np.uint16
    standard = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": SERIES_UID,
        "PatientID": "4711",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "InstanceNumber": number,
        "ImagePositionPatient": [round(float(mm), 6) for mm in position],
        "ImageOrientationPatient": list(SUPINE),
        "PixelSpacing": list(SPACING_MM),
        "Rows": hu.shape[0],
        "Columns": hu.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleSlope": slope,
        "RescaleIntercept": intercept,
    }
    dataset = Dataset()
    for keyword, value in (standard | tags).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.add_new("PixelData", "OW", stored.astype(dtype).tobytes())
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def series_of(hu: np.ndarray | None = None, positions: np.ndarray | None = None, **tags: object) -> list[Dataset]:
    """The slices of a series, all with the same `tags`."""
    hu = unique_hu() if hu is None else hu
    positions = straight() if positions is None else positions
    return [slice_of(plane, at, number, **tags) for number, (plane, at) in enumerate(zip(hu, positions, strict=True))]


def save(folder: Path, slices: Iterable[Dataset], names: Iterable[str] | None = None) -> Path:
    """Writes slices as files of a folder, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    slices = list(slices)
    for dataset, name in zip(slices, names or [f"{index:03d}.dcm" for index in range(len(slices))], strict=True):
        dataset.save_as(folder / name, enforce_file_format=True)
    return folder
