"""Volumes as bare arrays, one `.npz` each, and a table of prompts and labels: GenerateCT's generated dataset."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from generatect.ct.arrays import ENDING, ArrayForm
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.data.rows import read_rows
from generatect.data.table import given_text
from generatect.errors import InputError

VOLUME_COLUMNS = ("volume", "volumename", "name", "names", "accessionno")
TEXT_COLUMNS = ("text", "prompt", "text_prompts", "report", "impressions")
PATIENT = "patient"
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
ENDINGS = (ENDING, ".nii.gz", ".nii")


class NpzLayout:
    """A folder of `.npz` and a table beside it: see `Layout`.

    Files are found by name in the folder and those below it. None of GenerateCT's files was at hand when this was
    written; what is assumed of them stands in docs/data.md, and what a file contradicts is refused.

    Args:
        root: folder of the arrays.
        table: CSV or .xlsx; a column of volumes (volume, VolumeName, name, Names or AccessionNo; with or without
            ending), one of texts (text, prompt, Text_prompts, report or Impressions), and `patient` if it has one:
            without it every volume is nobody's, a patient of its own.
        label_columns: columns of 0 and 1.
        range: what values mean: hu, unit (0 to 1) or signed (-1 to 1); None recognises it in each file.
        axes: where the stored axes run, such as "SLP"; None knows GenerateCT's shapes.
        spacing_mm: along z, y, x; None knows GenerateCT's shapes.

    Raises:
        InputError: no such folder, or something that cannot be stated.
    """

    def __init__(
        self,
        *,
        root: str,
        table: str,
        label_columns: Sequence[str] = (),
        range: str | None = None,
        axes: str | None = None,
        spacing_mm: Any = None,
    ) -> None:
        self.root, self.table, self.label_columns = Path(root).expanduser(), Path(table).expanduser(), label_columns
        self.form = ArrayForm.stated("data", range, axes, spacing_mm)
        if not self.root.is_dir():
            raise InputError(f"data.root={root}: not a folder; expected the folder of the arrays")

    def read(self) -> Manifest:
        """The table's volumes; those without a text or a file are left out.

        Raises:
            InputError: the table is unusable, a label is none, or two files have one name.
        """
        header, rows = read_rows(self.table, "a table with a column of volumes and one of texts")
        columns = {name.lower(): name for name in reversed(header)}
        volume, text = (self._column(columns, names) for names in (VOLUME_COLUMNS, TEXT_COLUMNS))
        for name in self.label_columns:
            if name not in header:
                raise InputError(f"{self.table}: no column {name!r}; its columns are {', '.join(header)}")
        paths = self._files()
        records, left_out, seen = list[Record](), list[LeftOut](), dict[str, int]()
        for number, row in enumerate(rows, start=1):
            name = _stem(PurePosixPath(row[volume]).name)
            if not name or name in seen:
                raise InputError(f"{self.table} row {number}: volume {name!r} is empty or was there before")
            seen[name] = number
            if name not in paths:
                left_out.append(LeftOut(name, "no file"))
            elif not (prompt := given_text(row[text])):
                left_out.append(LeftOut(name, "no report"))
            else:
                patient = row.get(PATIENT) or f"synthetic-{name}"
                labels = {key: self._label(row[key], key, number) for key in self.label_columns}
                spacing = self.form.spacing_mm_zyx
                records.append(
                    Record(name, paths[name], patient, prompt, labels or None, None, self.form.scaling, spacing)
                )
        return Manifest(records, left_out)

    def _column(self, columns: dict[str, str], names: Sequence[str]) -> str:
        found = next((columns[name] for name in names if name in columns), None)
        if found is None:
            raise InputError(f"{self.table}: none of the columns {', '.join(names)}; name one of its columns so")
        return found

    def _files(self) -> dict[str, Path]:
        """Name → file."""
        found = dict[str, Path]()
        for path in sorted(self.root.rglob(f"*{ENDING}")):
            if path.name.startswith("."):
                continue
            name = _stem(path.name)
            if name in found:
                raise InputError(
                    f"{path}: has the name of {found[name]}; a table could not tell them apart, rename one"
                )
            found[name] = path
        if not found:
            raise InputError(f"data.root={self.root}: no {ENDING} in it or below; expected arrays")
        return found

    def _label(self, cell: str, column: str, number: int) -> int:
        if cell not in LABELS:
            raise InputError(f"{self.table} row {number}: {column} holds no label; expected 0 or 1")
        return LABELS[cell]


def _stem(name: str) -> str:
    """`a` of `a.npz`, and of `a.nii.gz.npz`, as NumPy names what was to be `a.nii.gz`."""
    while name.endswith(ENDINGS):
        name = next(name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending))
    return name
