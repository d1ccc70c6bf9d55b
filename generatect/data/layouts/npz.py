"""Volumes as bare arrays, one `.npz` each, and a table of prompts and labels: GenerateCT's generated dataset."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generatect.ct.arrays import ArrayForm
from generatect.ct.volume_files import ARRAY, files_below, volume_name
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.data.rows import read_rows
from generatect.data.table import given_text, parse_label, parse_side, require_identifier
from generatect.errors import InputError
from generatect.text.prompt import require_texts

VOLUME_COLUMNS = ("volume", "volumename", "name", "names", "accessionno")
TEXT_COLUMNS = ("text", "prompt", "text_prompts", "report", "impressions")
PATIENT, SPLIT = "patient", "split"


class NpzLayout:
    """A folder of `.npz` and a table beside it: see `Layout`.

    Files are found by name in the folder and those below it, linked ones included. None of GenerateCT's files was at
    hand when this was written; what is assumed of them stands in docs/data.md, and what a file contradicts is refused.

    Args:
        root: folder of the arrays.
        table: CSV or .xlsx; a column of volumes (volume, VolumeName, name, Names or AccessionNo; with or without
            ending), one of texts (text, prompt, Text_prompts, report or Impressions), and, if it has them, `patient`
            (without it every volume is nobody's, a patient of its own) and `split` ("train" or "val").
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
        require_texts(label_columns, "data.label_columns")
        self.root, self.table, self.label_columns = Path(root).expanduser(), Path(table).expanduser(), label_columns
        self.form = ArrayForm.stated("data", range, axes, spacing_mm)
        if not self.root.is_dir():
            raise InputError(f"data.root={root}: not a folder; expected the folder of the arrays")

    def read(self) -> Manifest:
        """The table's volumes; those without a text or a file are left out.

        Raises:
            InputError: the table is unusable, a label or side is none, two files have one name, or a folder cannot be
                listed.
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
            name = volume_name(row[volume].replace("\\", "/").rpartition("/")[2])
            if not name or name in seen:
                raise InputError(f"{self.table} row {number}: volume {name!r} is empty or was there before")
            seen[name] = number
            if name not in paths:
                left_out.append(LeftOut(name, "no file"))
            elif not (prompt := given_text(row[text])):
                left_out.append(LeftOut(name, "no report"))
            else:
                given = {key: row[columns[key]] for key in (PATIENT, SPLIT) if key in columns}
                try:
                    labels = {key: parse_label(row[key], key) for key in self.label_columns}
                    records.append(self._record(name, paths[name], prompt, labels, given))
                except InputError as error:
                    raise InputError(f"{self.table} row {number}: {error}") from error
        return Manifest(records, left_out)

    def _record(self, name: str, path: Path, text: str, labels: dict[str, int], given: dict[str, str]) -> Record:
        patient = given.get(PATIENT) or f"synthetic-{name}"
        require_identifier(patient, PATIENT)
        return Record(
            name=name,
            path=path,
            patient=unicodedata.normalize("NFC", patient),  # or one patient could be on both sides of a split
            text=text,
            labels=labels or None,
            split=parse_side(given.get(SPLIT, "")),
            metadata=self.form.scaling,
            spacing_mm_zyx=self.form.spacing_mm_zyx,
        )

    def _column(self, columns: dict[str, str], names: Sequence[str]) -> str:
        found = next((columns[name] for name in names if name in columns), None)
        if found is None:
            raise InputError(f"{self.table}: none of the columns {', '.join(names)}; name one of its columns so")
        return found

    def _files(self) -> dict[str, Path]:
        """Name → file."""
        found = dict[str, Path]()
        for path in files_below(self.root):
            if path.name.startswith(".") or not path.name.endswith(ARRAY):
                continue
            name = volume_name(path.name)
            if name in found:
                raise InputError(
                    f"{path}: has the name of {found[name]}; a table could not tell them apart, rename one"
                )
            found[name] = path
        if not found:
            raise InputError(f"data.root={self.root}: no {ARRAY} in it or below; expected arrays")
        return found
