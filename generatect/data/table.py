"""The CSV that says which volume belongs to which patient and report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generatect.data.csv_rows import read_csv
from generatect.errors import InputError

REPORT_PARTS = ("findings", "impression")
NOT_GIVEN = {"", "not given", "none", "nan"}
"""What stands for an absent report, in lower case without its full stop."""


@dataclass(frozen=True)
class TableRow:
    """One pair.

    Attributes:
        number: row of the table, 1 for the first below the header.
        volume: file of the volume, as the table names it.
        patient: whose scan it is.
        text: the report, never empty.
        labels: label column → 0 or 1; None without label columns.
    """

    number: int
    volume: str
    patient: str
    text: str
    labels: dict[str, int] | None


def read_table(path: str | Path, text_column: str = "text", label_columns: Sequence[str] = ()) -> list[TableRow]:
    """Rows of a UTF-8 CSV with a header, `volume` and `patient` columns, and a report.

    The report is `text_column`; a table without a column "text" may hold `findings` and `impression` instead, of which
    those given are joined. A byte order mark, Windows line ends and quoted line breaks are all right.

    Args:
        path: the CSV.
        text_column: column of the report.
        label_columns: columns of 0 and 1.

    Raises:
        InputError: naming the file, and the row where one is at fault. Reports are never quoted.
    """
    path = Path(path).expanduser()
    header, records = read_csv(path, "a CSV with columns volume, patient, text")
    text_columns = _text_columns(header, text_column, path)
    for column in ("volume", "patient", *label_columns):
        if column not in header:
            raise InputError(f"{path}: no column {column!r}; its columns are {', '.join(header)}")
    rows, seen = [], dict[str, int]()
    for number, record in enumerate(records, start=1):
        row = _row(record, number, text_columns, label_columns, path)
        if row.volume in seen:
            raise InputError(f"{path} row {number}: volume {row.volume!r} is already in row {seen[row.volume]}")
        seen[row.volume] = number
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: no rows below the header; expected one for each volume")
    return rows


def _text_columns(header: list[str], text_column: str, path: Path) -> list[str]:
    """Columns that make up the report."""
    if text_column in header:
        return [text_column]
    parts = [part for part in REPORT_PARTS if part in header] if text_column == "text" else []
    if not parts:
        raise InputError(
            f"{path}: no column {text_column!r} for the report; "
            f"its columns are {', '.join(header)}; name one with data.text_column=…"
        )
    return parts


def _row(
    record: dict[str, str], number: int, text_columns: list[str], label_columns: Sequence[str], path: Path
) -> TableRow:
    """One checked row."""
    for column in ("volume", "patient"):
        if not record[column]:
            raise InputError(f"{path} row {number}: empty {column}; expected a name")
    parts = [record[column] for column in text_columns]
    text = " ".join(part for part in parts if part.rstrip(".").lower() not in NOT_GIVEN)
    if not text:
        raise InputError(
            f"{path} row {number}: empty report ({' and '.join(text_columns)}) for volume {record['volume']!r}; "
            "give it a report or remove the row"
        )
    labels = {column: _label(record[column], column, number, path) for column in label_columns}
    return TableRow(number, record["volume"], record["patient"], text, labels or None)


def _label(cell: str, column: str, number: int, path: Path) -> int:
    """A label, which may be written as 1 or 1.0."""
    if cell not in ("0", "1", "0.0", "1.0"):
        raise InputError(f"{path} row {number}: {column}={cell!r}; expected 0 or 1")
    return int(float(cell))
