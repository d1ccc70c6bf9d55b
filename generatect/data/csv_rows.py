"""A CSV as its rows of stripped cells, or one line that says what is wrong with it."""

import csv
from pathlib import Path

from generatect.errors import InputError


def read_csv(path: Path, expected: str) -> tuple[list[str], list[dict[str, str]]]:
    """Column names, and the rows that are not blank as column → cell, all without surrounding spaces.

    UTF-8; a byte order mark, Windows line ends and quoted line breaks are all right. A row with a cell too many is an
    error, since that is a comma outside quotes, which would silently cut a text.

    Args:
        path: the CSV.
        expected: what it should hold, for the message.

    Raises:
        InputError: naming the file, and the row (1 for the first below the header) where one is at fault.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file, strict=True) if any(cell.strip() for cell in line)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the table as UTF-8 CSV") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV ({error}); expected commas and double quotes") from error
    if not lines:
        raise InputError(f"{path}: empty; expected {expected}")
    header = [name.strip() for name in lines[0]]
    if len(set(header)) < len(header):
        raise InputError(f"{path}: a column name occurs twice in {', '.join(header)}; names must differ")
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(header):
            raise InputError(
                f"{path} row {number}: {len(line)} cells, expected {len(header)}; put text with commas in quotes"
            )
    return header, [dict(zip(header, map(str.strip, line), strict=True)) for line in lines[1:]]
