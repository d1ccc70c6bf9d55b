"""Which series lie in a folder of DICOM files, and which of them is meant."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from generatect.ct.dicom_header import SliceHeader, read_header
from generatect.errors import InputError

MAX_FILES = 200_000
"""Files of a folder that are looked at."""

REFUSED = {
    "coronal": "its slices are coronal; expected an axial series",
    "sagittal": "its slices are sagittal; expected an axial series",
    "localiser": "a localiser (scout view), not a scan",
    "multi-frame": "multi-frame (enhanced) CT; convert it to single slices or to NIfTI first, as dcm2niix does",
    "unplaced": "no usable ImagePositionPatient and ImageOrientationPatient (a screen capture?); expected slices of CT",
    "not CT": "its modality is not CT",
}
"""Kind of series → why it is no scan that can be read."""


@dataclass(frozen=True)
class Series:
    """Slices of one kind that share a SeriesInstanceUID, or a folder where they have none.

    Attributes:
        uid: SeriesInstanceUID, "" where there is none.
        kind: see `SliceHeader`; only "axial" can be read.
        slices: by path.
    """

    uid: str
    kind: str
    slices: tuple[SliceHeader, ...]

    @property
    def num_slices(self) -> int:
        """Number of files."""
        return len(self.slices)

    @property
    def folder(self) -> Path:
        """The deepest folder that holds all of it."""
        return Path(os.path.commonpath([header.path.parent for header in self.slices]))


def files_below(folder: Path, max_files: int = MAX_FILES) -> list[Path]:
    """Regular files in a folder and its subfolders, by path; links to folders are not followed.

    Raises:
        InputError: no such folder, or too many files.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the folder of a DICOM series")
    found = list[Path]()
    for parent, _, names in os.walk(folder):
        found += [path for path in (Path(parent, name) for name in names) if path.is_file()]
        if len(found) > max_files:
            raise InputError(f"{folder}: more than {max_files} files; name a folder that holds less")
    return sorted(found)


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[InputError]]:
    """Groups the DICOM files among `files`, whatever else is there.

    Returns:
        The series, in the order of their first files, and what is wrong with files that are damaged.
    """
    groups, damaged = dict[tuple[str, str, Path | None], list[SliceHeader]](), list[InputError]()
    for path in files:
        try:
            header = read_header(path)
        except InputError as error:
            damaged.append(error)
            continue
        if header is not None:
            folder = None if header.series_uid else path.parent
            groups.setdefault((header.series_uid, header.kind, folder), []).append(header)
    return [Series(uid, kind, tuple(slices)) for (uid, kind, _), slices in groups.items()], damaged


def choose_series(found: list[Series], wanted: str | int | None, folder: Path) -> Series:
    """The one axial CT series, or the one that is wanted: by its number (from 1) or the beginning of its UID.

    Raises:
        InputError: none, or several.
    """
    chosen = found if wanted is None else _matching(found, str(wanted))
    if not chosen:
        raise InputError(f"{folder}: series={wanted} is none of its {_listing(found, found)}")
    axial = [series for series in chosen if series.kind == "axial"]
    if not axial:
        reasons = sorted({REFUSED[series.kind] for series in chosen})
        raise InputError(f"{folder}: no axial CT series, but: {'; '.join(reasons)}")
    if len(axial) > 1:
        raise InputError(
            f"{folder}: holds {_listing(axial, found)}; give each series a folder of its own, import them with "
            "generatect.import_dicom, or choose with series=NUMBER or the beginning of a UID"
        )
    for series in found:  # such a slice may be missing at an end of the stack, where no gap would show
        if series.kind == "unplaced" and series.uid == axial[0].uid != "":
            raise InputError(f"{series.slices[0].path}: {REFUSED['unplaced']}; remove it from its series or repair it")
    return axial[0]


def _matching(found: list[Series], wanted: str) -> list[Series]:
    if wanted.isdecimal() and 1 <= int(wanted) <= len(found):
        return [found[int(wanted) - 1]]
    return [series for series in found if wanted and series.uid.startswith(wanted)]


def _listing(some: list[Series], found: list[Series], max_listed: int = 8) -> str:
    """How many series, and for each its number, slices and UID."""
    shown = [
        f"{found.index(series) + 1}: {series.num_slices} slices, {series.kind}, UID {series.uid or 'missing'}"
        for series in some[:max_listed]
    ]
    return f"{len(some)} series ({'; '.join(shown)}{'; …' if len(some) > max_listed else ''})"
