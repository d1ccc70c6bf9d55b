"""Anyone's own data: a folder of volumes, NIfTI or DICOM, and a table of reports."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from generatect.ct.volume_files import is_volume_file, without_ending
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.data.table import TableRow, sift_table
from generatect.errors import InputError
from generatect.text.prompt import require_texts

ENDINGS = ("", ".nii.gz", ".nii")
NO_REPORT = "empty report"
"""How the reason of a row without a report begins."""


class FolderLayout:
    """A folder and its table: see `Layout`.

    A volume is a NIfTI file, or a folder that holds one DICOM series; an archive of DICOM needs no layout of its own.

    Args:
        root: folder of the volumes.
        table: CSV or .xlsx with columns volume, patient, text; see `sift_table`. Volumes are paths below `root`, files
            with or without their `.nii.gz` or `.nii`; whole paths of files in it and Windows' backslashes will do. A
            column `split` may say "train" or "val".
        text_column: column of the report.
        label_columns: columns of 0 and 1.
        template: how a report becomes the prompt; see `generatect.text.templates`.
        missing_text: "raise", or "leave_out" volumes without a report.

    Raises:
        InputError: no such folder, an unknown `missing_text`, or a single text for a list of columns.
    """

    def __init__(
        self,
        *,
        root: str,
        table: str,
        text_column: str = "text",
        label_columns: Sequence[str] = (),
        template: str = "report",
        missing_text: str = "raise",
    ) -> None:
        require_texts(label_columns, "data.label_columns")
        self.root, self.table = Path(root).expanduser(), Path(table).expanduser()
        self.text_column, self.label_columns, self.template = text_column, tuple(label_columns), template
        if missing_text not in ("raise", "leave_out"):
            raise InputError(f"data.missing_text={missing_text}: expected raise or leave_out")
        self.missing_text = missing_text
        if not self.root.is_dir():
            raise InputError(f"data.root={root}: not a folder; expected the folder of the volumes")

    def read(self) -> Manifest:
        """The table's volumes.

        Raises:
            InputError: the table is unusable, or names volumes that are not there.
        """
        found = sift_table(self.table, self.text_column, self.label_columns, self.template, self.missing_text)
        left_out = []
        for row in found.left_out:
            if not row.reason.startswith(NO_REPORT):  # which of two rows is meant, or a label, nobody can guess
                raise InputError(f"{self.table} row {row.number}: {row.reason}")
            left_out.append(LeftOut(row.volume, "no report"))
        volumes = _find_volumes(self.root, found.rows, self.table)
        records = [
            Record(name, path, row.patient, row.text, row.labels, row.split)
            for row, (name, path) in zip(found.rows, volumes, strict=True)
        ]
        return Manifest(records, left_out)


def _find_volumes(root: Path, rows: list[TableRow], table: Path) -> list[tuple[str, Path]]:
    """Name below the folder and path of each row's volume.

    Raises:
        InputError: volumes are missing, two rows have one, or one lies out of the folder.
    """
    volumes, missing, owners = list[tuple[str, Path]](), list[TableRow](), dict[Path, int]()
    listings: dict[Path, dict[str, str]] = {}
    for row in rows:
        meant = paths_below(root, row.volume)
        if not meant:
            raise InputError(f"{table} row {row.number}: volume {row.volume!r}; expected a path below {root}")
        paths = (
            (str(name), _find_volume(root, name) or _find_otherwise_spelled(root, name, listings)) for name in meant
        )
        found = next(((name, path) for name, path in paths if path is not None), None)
        if found is None:
            missing.append(row)
            continue
        if found[1] in owners:
            raise InputError(f"{table} row {row.number}: volume {row.volume!r} is the file of row {owners[found[1]]}")
        owners[found[1]] = row.number
        volumes.append(found)
    if missing:
        raise InputError(
            f"{table}: {len(missing)} of {len(rows)} volumes are not in {root}, first {missing[0].volume!r} "
            f"(row {missing[0].number}); expected .nii.gz or .nii files, or folders of DICOM"
        )
    return volumes


def paths_below(root: Path, volume: str) -> list[PurePosixPath]:
    """Paths below the folder that a table may mean, the most literal first; none where all lead out of it.

    Args:
        root: the folder.
        volume: "a/b.nii.gz", the same with Windows' backslashes, or the whole path of a file in the folder.
    """
    paths = [PurePosixPath(name) for name in dict.fromkeys((volume, volume.replace("\\", "/")))]
    if any(path.is_absolute() for path in paths):  # each look at the disk costs as much as the rest of a row
        for folder in (root.absolute(), root.resolve()):
            paths = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in paths]
    return [path for path in paths if not path.is_absolute() and ".." not in path.parts]


def _find_volume(root: Path, relative: PurePosixPath) -> Path | None:
    """The file of that name, or else the folder if anything is in it."""
    for ending in ENDINGS:
        path = root / f"{relative}{ending}"
        if path.is_file():
            return path
    return _filled_folder(root / relative)


def _find_otherwise_spelled(root: Path, relative: PurePosixPath, listings: dict[Path, dict[str, str]]) -> Path | None:
    """The same, where the disk spells letters in another way (macOS takes "ö" apart) or the ending in capitals.

    Args:
        root: the archive's folder.
        relative: as the table names it.
        listings: of the folders that have been looked at, which this adds to.
    """
    path = root
    for part in relative.parts:
        if path not in listings:
            listings[path] = _spellings(path)
        name = listings[path].get(unicodedata.normalize("NFC", part))
        if name is None:
            return None
        path /= name
    return path if path.is_file() else _filled_folder(path)


def _spellings(folder: Path) -> dict[str, str]:
    """Composed name, of volumes also without its ending → name on the disk."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    volumes = [name for name in names if is_volume_file(name)]
    return {unicodedata.normalize("NFC", without_ending(name)): name for name in volumes} | {
        unicodedata.normalize("NFC", name): name for name in names
    }


def _filled_folder(folder: Path) -> Path | None:
    """The folder if anything is in it."""
    return folder if folder.is_dir() and os.listdir(folder) else None
