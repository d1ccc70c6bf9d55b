"""Which series lie in a folder of DICOM files, and which of them is meant."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread

from generatect.ct.dicom_header import PLANES, SliceHeader, quiet_pydicom, read_header
from generatect.errors import InputError

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
    """Slices of one kind and patient that share a SeriesInstanceUID, or a folder where they have none.

    A poor anonymiser gives one UID to all its patients. So slices of several folders are one series only where they
    can be: those of another folder that have another size or orientation, or show something else at the same place, are
    another one.

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


def find_series(files: Iterable[Path]) -> tuple[list[Series], dict[Path, InputError]]:
    """Groups the DICOM files among `files`, whatever else is there.

    Returns:
        The series, in the order of their first files, and what is wrong with files that are damaged.
    """
    groups, damaged = dict[tuple, list[SliceHeader]](), dict[Path, InputError]()
    for path in files:
        try:
            header = read_header(path)
        except InputError as error:
            damaged[path] = error
            continue
        if header is not None:
            whose = header.patient if header.series_uid else path.parent
            groups.setdefault((header.series_uid, header.kind, whose), []).append(header)
    found = [
        Series(uid, kind, tuple(part))
        for (uid, kind, _), slices in groups.items()
        for part in (_parted(slices) if kind in PLANES else [slices])
    ]
    return found, damaged


def _parted(slices: list[SliceHeader]) -> list[list[SliceHeader]]:
    """The slices of one UID by the scan they can belong to: folder by folder, each joins the first that it fits."""
    folders = dict[Path, list[SliceHeader]]()
    for header in slices:
        folders.setdefault(header.path.parent, []).append(header)
    scans = list[list[SliceHeader]]()
    for some in folders.values():
        scan = next((scan for scan in scans if not _collide(scan, some)), None)
        if scan is None:
            scans.append([*some])
        else:
            scan += some
    return scans


def _collide(scan: list[SliceHeader], others: list[SliceHeader]) -> bool:
    """Whether slices of two folders cannot be of one scan: they are of another form, or show two things at one place.

    A copy shows the same, and is refused with the series that it is in.
    """
    first, other = scan[0], others[0]
    if (first.rows, first.columns) != (other.rows, other.columns):
        return True
    if not np.allclose(first.orientation, other.orientation, atol=1e-2):
        return True
    places = {_place(header): header for header in scan}
    pairs = [(places[_place(header)].path, header.path) for header in others if _place(header) in places]
    return bool(pairs) and not _show_the_same(*pairs[0])


def _place(header: SliceHeader) -> tuple[float, ...]:
    """Position rounded to 0.01 mm."""
    return tuple(round(mm, 2) for mm in header.position_mm)


@quiet_pydicom()
def _show_the_same(*paths: Path) -> bool:
    """Whether two files hold equal pixels, whatever their tags; also where that cannot be told."""
    try:
        first, other = (dcmread(path, specific_tags=["PixelData"]).get("PixelData") for path in paths)
    except Exception:  # a damaged file makes pydicom raise almost anything; reading its series refuses it
        return True
    return first == other


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
            f"{folder}: holds {_listing(axial, found)}; give each series a folder of its own or import them with "
            "generatect.import_dicom; reconstruct and render take series=NUMBER or the beginning of a UID, too"
        )
    require_whole(axial[0], found, ())
    return axial[0]


def require_whole(series: Series, found: list[Series], damaged: Iterable[Path]) -> None:
    """Refuses a series that may lack a slice at an end of its stack, where no gap would show.

    Args:
        series: an axial one.
        found: all series of the folder; one of the same UID without positions is a part of it.
        damaged: files that cannot be read; one in a folder that holds nothing but this series is a part of it.

    Raises:
        InputError: naming the file.
    """
    for other in found:
        if other.kind == "unplaced" and other.uid == series.uid != "":
            raise InputError(f"{other.slices[0].path}: {REFUSED['unplaced']}; remove it from its series or repair it")
    own, foreign = (
        {header.path.parent for one in some for header in one.slices}
        for some in ([series], [other for other in found if other is not series])
    )
    for path in damaged:
        if path.parent in own - foreign:
            raise InputError(
                f"{path}: damaged, and likely a slice of the series in its folder; copy it anew, or remove it"
            )


def _matching(found: list[Series], wanted: str) -> list[Series]:
    if wanted.isdecimal() and 1 <= int(wanted) <= len(found):
        return [found[int(wanted) - 1]]
    return [series for series in found if wanted and series.uid.startswith(wanted)]


def _listing(some: list[Series], found: list[Series], max_listed: int = 8) -> str:
    """How many series, and for each its number, slices and UID."""
    uids = Counter(series.uid for series in some)
    shown = [
        f"{found.index(series) + 1}: {series.num_slices} slices, {series.kind}, UID {series.uid or 'missing'}"
        + (f" in {series.folder.name}" if uids[series.uid] > 1 else "")
        for series in some[:max_listed]
    ]
    return f"{len(some)} series ({'; '.join(shown)}{'; …' if len(some) > max_listed else ''})"
