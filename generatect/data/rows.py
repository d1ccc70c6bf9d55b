"""A table, CSV or workbook, as its rows of stripped cells, or one line that says what is wrong with it."""

from pathlib import Path

from generatect.data.csv_lines import csv_lines
from generatect.data.workbook import SUFFIXES, workbook_lines
from generatect.errors import InputError

MAX_NAME = 64
"""Characters of a column's name. A longer one is a report in a table without a header, and not to be quoted."""


def read_rows(path: Path, expected: str, exact: str | None = None) -> tuple[list[str], list[dict[str, str]]]:
    """Column names on one line each, and the rows that are not blank as column → cell, without surrounding spaces.

    An .xlsx is read by `workbook_lines`, anything else as a CSV by `csv_lines`. A row with a cell too many is an error:
    in a CSV it is a comma outside quotes, which would silently cut a text.

    Args:
        path: the table.
        expected: what it should hold, for the message.
        exact: a column whose cells keep the spaces around them.

    Raises:
        InputError: naming the file, and the row (1 for the first below the header) where one is at fault.
    """
    is_workbook = path.suffix.lower() in SUFFIXES
    lines = (workbook_lines if is_workbook else csv_lines)(path, expected)
    filled = (line for line in lines if any(cell.strip() for cell in line))
    header = [_heading(cell) for cell in next(filled, ())]
    if not header:
        raise InputError(f"{path}: empty; expected {expected}")
    if any(len(name) > MAX_NAME for name in header):
        raise InputError(f"{path}: the first row holds long text; expected column names there, {expected}")
    if len(set(header)) < len(header):
        raise InputError(f"{path}: a column name occurs twice in {', '.join(header)}; names must differ")
    advice = "give every column a name" if is_workbook else "put text with commas in quotes"
    rows = []
    for number, cells in enumerate(filled, start=1):
        if len(cells) != len(header):
            raise InputError(f"{path} row {number}: {len(cells)} cells, expected {len(header)}; {advice}")
        named = zip(header, cells, strict=True)
        rows.append({name: cell if name == exact else cell.strip() for name, cell in named})
    return header, rows


def _heading(cell: str) -> str:
    """A column's name as it is seen: line ends of a spreadsheet, a second byte order mark and the like are spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in cell).split())
