"""Archives laid out as CT-RATE, small ones with voxels and one of full size with empty files."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from generatect.ct.volume import CTVolume

REPORTS = ("VolumeName", "ClinicalInformation_EN", "Technique_EN", "Findings_EN", "Impressions_EN")
METADATA = (
    *("VolumeName", "Manufacturer", "SeriesDescription", "PatientSex", "PatientAge", "RescaleIntercept"),
    *("RescaleSlope", "XYSpacing", "ZSpacing", "NumberofSlices", "StudyDate"),
)
LABELS = ("VolumeName", "Cardiomegaly", "Lung nodule", "Pleural effusion")
PLANTED = "Zqplanted"
"""Stands in every free text that nobody may copy."""


def place(folder: Path, volume: str) -> Path:
    """Where a volume lies in one of the four folders."""
    split, patient, scan, _ = volume.split("_")
    return folder / f"{split}_{patient}" / f"{split}_{patient}_{scan}" / f"{volume}.nii.gz"


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """A table as CT-RATE's are written."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def report(volume: str, findings: str, impressions: str) -> tuple:
    """A row of the reports."""
    return (f"{volume}.nii.gz", PLANTED, PLANTED, findings, impressions)


def metadata(
    volume: str,
    slope: object = 1,
    intercept: object = -1024,
    xy: str = "[0.8, 0.8]",
    z: object = 1.5,
    age: str = "045Y",
    sex: str = "F",
) -> tuple:
    """A row of the metadata."""
    return (f"{volume}.nii.gz", PLANTED, PLANTED, sex, age, intercept, slope, xy, z, 201, PLANTED)


def labels(volume: str, *values: object) -> tuple:
    """A row of the labels."""
    return (f"{volume}.nii.gz", *(values or (0, 1, 0)))


def write_plain(path: Path, volume: CTVolume, slope: float, intercept: float) -> None:
    """Stored values as in the plain folders: no scaling in the header, and voxels said to be cubes of 1 mm."""
    stored = (volume.voxels_hu.astype(np.float64) - intercept) / slope
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.rint(stored).astype(np.int16).transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]))
    image.header["descrip"] = PLANTED.encode()
    nib.save(image, path)


def write_empty(folder: Path, volumes: Iterable[str]) -> None:
    """Files that nobody may open."""
    made = set()
    for volume in volumes:
        path = str(place(folder, volume))
        parent = os.path.dirname(path)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def names_of(split: str, num_patients: int, num_volumes: int) -> list[str]:
    """Names of all volumes: two or three for each patient, two of which are reconstructions of one scan."""
    names = []
    for index in range(num_volumes):
        patient, turn = index % num_patients + 1, index // num_patients
        names.append(f"{split}_{patient}_{'aab'[turn]}_{(1, 2, 1)[turn]}")
    return names


def write_full_size(root: Path, both_sides: int) -> tuple[int, int]:
    """CT-RATE's 50,188 names of 21,304 patients with tables of its size; some patients stand in both parts' tables.

    Returns:
        Number of volumes, and of those that lie in the validation part and whose patients train.
    """
    paragraph = "Trachea and both main bronchi are open, no mass or infiltration was observed in the lung parenchyma. "
    parts = {"train": names_of("train", 20_000, 47_149), "valid": names_of("valid", 1_304, 3_039)}
    for (part, names), table in zip(parts.items(), ("train", "validation"), strict=True):
        write_empty(root / f"{part}_fixed", names)
        strangers = [f"valid_{patient}_a_1" for patient in range(1, both_sides + 1)] if part == "train" else []
        reports = (report(name, paragraph * 18 + name, paragraph * 3) for name in names + strangers)
        write_csv(root / "radiology_text_reports" / f"{table}_reports.csv", REPORTS, reports)
        more = [f"Tag{number}" for number in range(30)]
        rows = ((*metadata(name, 1.0, -1024.0), *[PLANTED] * 30) for name in names)
        write_csv(root / "metadata" / f"{table}_metadata.csv", (*METADATA, *more), rows)
        ones = [f"abnormality {number}" for number in range(18)]
        rows = (labels(name, *(int(bit) for bit in f"{index % 2**18:018b}")) for index, name in enumerate(names))
        write_csv(root / "multi_abnormality_labels" / f"{part}_predicted_labels.csv", ("VolumeName", *ones), rows)
    twice = sum(int(name.split("_")[1]) <= both_sides for name in parts["valid"])
    return sum(map(len, parts.values())), twice
