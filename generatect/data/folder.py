"""Anyone's own data: a folder of NIfTI volumes and a CSV of reports."""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from jaxtyping import Float
from torch import Tensor

from generatect.ct.nifti import read_nifti
from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.data.table import TableRow, read_table
from generatect.errors import InputError

ENDINGS = ("", ".nii.gz", ".nii")
SAMPLED_BYTES = 1 << 20


class FolderPairs:
    """Pairs from a folder: see `Pairs`.

    Args:
        root: folder of the volumes.
        table: CSV with columns volume, patient, text; see `read_table`. Volumes are paths below `root`, with or without
            their `.nii.gz` or `.nii`.
        text_column: column of the report.
        label_columns: columns of 0 and 1.
        hu_policy: how stored values become HU; see `read_nifti_with_layout`.

    Raises:
        InputError: the table is unusable, or names volumes that are not there.
    """

    def __init__(
        self,
        *,
        root: str,
        table: str,
        text_column: str = "text",
        label_columns: Sequence[str] = (),
        hu_policy: str = "header",
    ) -> None:
        self.root, self.hu_policy = Path(root).expanduser(), hu_policy
        if not self.root.is_dir():
            raise InputError(f"root={root}: not a folder; expected the folder of the volumes")
        self.rows = read_table(Path(table).expanduser(), text_column, label_columns)
        self.paths = _find_volumes(self.root, self.rows, table)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.rows)

    def name(self, index: int) -> str:
        """Volume as the table names it."""
        return self.rows[index].volume

    def patient(self, index: int) -> str:
        """Patient as the table names them."""
        return self.rows[index].patient

    def text(self, index: int) -> str:
        """The report."""
        return self.rows[index].text

    def labels(self, index: int) -> dict[str, int] | None:
        """Label column → 0 or 1; None without label columns."""
        return self.rows[index].labels

    def volume(self, index: int) -> CTVolume:
        """The CT on its own grid, canonical, in HU."""
        return read_nifti(self.paths[index], hu_policy=self.hu_policy)

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on the preset's grid (or its upscaled grid), in [-1, 1]."""
        return preset.to_model(self.volume(index), upscaled=upscaled)

    def fingerprint(self, index: int) -> str:
        """Hash of what the file holds and how it is read.

        It covers the size and the first and last MiB, not name or date: a copied or moved folder keeps its caches, and
        a file rewritten within the clock's resolution does not pass for the old one. A gzip file ends in the checksum
        of all its content, so any change shows; an uncompressed file has none, and there the date counts too.
        """
        status = self.paths[index].stat()
        with self.paths[index].open("rb") as file:
            head = file.read(SAMPLED_BYTES)
            file.seek(max(0, status.st_size - SAMPLED_BYTES))
            tail = file.read(SAMPLED_BYTES)
        date = "" if head.startswith(b"\x1f\x8b") else status.st_mtime_ns
        digest = hashlib.sha256(f"{self.hu_policy} {status.st_size} {date} ".encode())
        digest.update(head)
        digest.update(tail)
        return digest.hexdigest()


def _find_volumes(root: Path, rows: list[TableRow], table: str) -> list[Path]:
    """Path of each row's volume; refuses missing ones, two rows with one file, and paths out of the folder."""
    paths, missing, owners = list[Path](), list[TableRow](), dict[Path, int]()
    for row in rows:
        relative = PurePosixPath(row.volume)
        if relative.is_absolute() or ".." in relative.parts:
            raise InputError(f"{table} row {row.number}: volume {row.volume!r}; expected a path below {root}")
        path = next((path for path in (root / f"{relative}{end}" for end in ENDINGS) if path.is_file()), None)
        if path is None:
            missing.append(row)
            continue
        if path in owners:
            raise InputError(f"{table} row {row.number}: volume {row.volume!r} is the file of row {owners[path]}")
        owners[path] = row.number
        paths.append(path)
    if missing:
        raise InputError(
            f"{table}: {len(missing)} of {len(rows)} volumes are not in {root}, first {missing[0].volume!r} "
            f"(row {missing[0].number}); expected .nii.gz or .nii files"
        )
    return paths
