"""A CSV as its lines of cells, in one pass."""

import csv
import itertools
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from generatect.data.safe_csv import original_cell
from generatect.errors import InputError

MAX_CELL = 4 << 20
"""Characters of a cell. Reports are shorter; a quotation mark left open would take the rest of the file for one."""

MAX_LINE = 64 << 20
"""Characters between two line ends, so that a file that is no text cannot fill the memory."""

_SAID = re.compile(r'"?sep=([,;|\t])"?[,;|\t]*', re.IGNORECASE)
"""The line that tells Excel what separates cells, perhaps saved again as if it were one of the table."""


def csv_lines(path: Path, expected: str) -> list[list[str]]:
    """Cells of every line, as they are written, but for the apostrophe that keeps a text from being a formula.

    UTF-8; a byte order mark, any line ends and quoted line breaks are all right. Separated by commas, or by semicolons
    or tabs if the first line has no comma (spreadsheets write semicolons where the comma is the decimal mark), or by
    what Excel's own first line `sep=;` says, which is no row.

    Args:
        path: the CSV.
        expected: what it should hold, for the message.

    Raises:
        InputError: naming the file, and the line (1 for the first) or row (1 for the first below the header) at fault.
    """
    num_lines = 0  # the header's too: the number of the row at fault below it
    previous = csv.field_size_limit(MAX_CELL)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = _checked(file, path)
            filled = filter(str.strip, lines)
            first = next(filled, "")
            mark = said_delimiter(first)
            if mark is not None:
                first = next(filled, "")
            mark = mark or find_delimiter(first)
            found = []
            for cells in csv.reader(itertools.chain([first], lines), delimiter=mark, strict=True):
                found.append([original_cell(cell) for cell in cells])
                num_lines += 1
            return found
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error
    except csv.Error as error:
        reason = f"a cell has more than {MAX_CELL:,} characters" if "field limit" in str(error) else str(error)
        raise InputError(
            f"{path} row {num_lines}: not a CSV ({reason}); expected commas, and text in double quotes, each closed"
        ) from error
    finally:
        csv.field_size_limit(previous)


def _checked(file: TextIO, path: Path) -> Iterator[str]:
    """Lines of a file that is UTF-8 text."""
    for number, line in enumerate(iter(partial(file.readline, MAX_LINE), ""), start=1):
        if len(line) == MAX_LINE:
            raise InputError(f"{path} line {number}: more than {MAX_LINE:,} characters; expected a CSV with line ends")
        foreign = _foreign(line)
        if foreign is not None:
            raise InputError(_what_it_is(line, foreign, f"{path} line {number}"))
        yield line


def _foreign(line: str) -> int | None:
    """Code of NUL, or of what `surrogateescape` makes of the first byte that is not UTF-8; None for text."""
    if "\0" in line:
        return 0
    try:
        line.encode()  # many times as fast as to search
    except UnicodeEncodeError as error:
        return ord(line[error.start])
    return None


def _what_it_is(line: str, foreign: int, place: str) -> str:
    """The line about a character that UTF-8 text does not hold."""
    if line.startswith("PK\x03\x04"):
        return f"{place}: is a workbook or another archive, not UTF-8 text; name a workbook .xlsx, or save it as CSV"
    if foreign == 0 or line[:2] in ("\udcff\udcfe", "\udcfe\udcff"):
        return f"{place}: is UTF-16 or binary, not UTF-8; save the table as CSV UTF-8"
    return f"{place}: byte 0x{foreign - 0xDC00:02X} is not UTF-8 (perhaps Latin-1); save the table as CSV UTF-8"


def said_delimiter(line: str) -> str | None:
    """What separates cells, where a line says nothing but that; None for a line of the table."""
    said = _SAID.fullmatch(line.rstrip("\r\n"))
    return said[1] if said else None


def find_delimiter(first: str) -> str:
    """What separates the cells of a first line."""
    bare = re.sub(r'"[^"]*"', "", first)
    return "," if "," in bare else next((mark for mark in ";\t" if mark in bare), ",")
