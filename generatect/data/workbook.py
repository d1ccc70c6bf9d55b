"""A workbook's first sheet as its lines of cells. Formulas are never computed: their last stored value counts."""

import datetime
import re
import warnings
import zipfile
from pathlib import Path
from typing import BinaryIO

from openpyxl import load_workbook

from generatect.errors import InputError

SUFFIXES = {".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}
"""Names of workbooks; those that cannot be read are refused with advice."""

MAX_BYTES = 200_000_000
"""Of a workbook unpacked: 100,000 long reports. A zip of a few kilobytes can unpack to terabytes."""

MAX_ROWS = 1 << 20
"""What a sheet of Excel can have."""

MAX_CELLS = 10_000_000
"""Empty ones too: a file can name a far cell of every row without holding the others."""

_ESCAPE = re.compile(r"_x(00[01][0-9A-F]|005F)_")
"""A control character, which XML cannot hold, or the underscore of a text that looks like this."""

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def workbook_lines(path: Path, expected: str) -> list[list[str]]:
    """Cells of every row that is not empty, as text; each row as wide as the first, or wider.

    Whole numbers have no decimal point, dates are ISO, truth is TRUE or FALSE. A whole number of more than 15 digits
    stays as Excel has stored it, which is rounded: identifiers as long as that must be text.

    Args:
        path: an .xlsx or .xlsm.
        expected: what it should hold, for the message.

    Raises:
        InputError: naming the file: it is encrypted, of another format, damaged, or unpacks to more than can be.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error
    try:
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions, which no table needs
            _check_package(file, path)
            lines = _first_sheet(file, path)
    except InputError:
        raise
    except Exception as error:  # a damaged file makes openpyxl fail in whatever way its parser happens to
        raise InputError(
            f"{path}: not a readable workbook ({type(error).__name__}); save it again as .xlsx or as CSV UTF-8"
        ) from error
    width = len(lines[0]) if lines else 0
    return [line + [""] * (width - len(line)) for line in lines]


def _check_package(file: BinaryIO, path: Path) -> None:
    """Refuses what would be dangerous to unpack or to parse; leaves the file at its start."""
    if file.read(len(_OLE)) == _OLE:
        raise InputError(f"{path}: has a password or is an old .xls; save it as .xlsx without one, or as CSV UTF-8")
    with zipfile.ZipFile(file) as package:
        num_bytes = sum(part.file_size for part in package.infolist())
        if num_bytes > MAX_BYTES:
            raise InputError(
                f"{path}: unpacks to {num_bytes / 1e6:,.0f} MB, expected at most {MAX_BYTES / 1e6:.0f}; "
                "remove what is no table, or save it as CSV UTF-8"
            )
        for part in package.infolist():  # an entity can multiply, and only a document type declares any
            if b"<!DOCTYPE" in package.read(part).replace(b"\0", b""):  # without the zeros of UTF-16
                raise InputError(f"{path}: holds a document type, which no spreadsheet writes; save it again as .xlsx")
    file.seek(0)


def _first_sheet(file: BinaryIO, path: Path) -> list[list[str]]:
    """Lines without their trailing empty cells."""
    workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    sheet = workbook.worksheets[0]
    sheet.reset_dimensions()  # a sheet may declare a million rows that it does not have
    lines, num_cells = [], 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        num_cells += len(values)
        if number > MAX_ROWS or num_cells > MAX_CELLS:
            raise InputError(
                f"{path}: more than {MAX_ROWS:,} rows or {MAX_CELLS:,} cells; save its table alone, or as CSV UTF-8"
            )
        line = ["" if value is None else _text(value) for value in values]
        while line and not line[-1].strip():
            line.pop()
        if line:
            lines.append(line)
    workbook.close()
    return lines


def _unescaped(escape: re.Match[str]) -> str:
    """The character that a workbook wrote as its number; nothing for the carriage return of a line end."""
    return "" if escape[1] == "000D" else chr(int(escape[1], 16))


def _text(value: object) -> str:
    """A cell as text."""
    match value:
        case str():
            return _ESCAPE.sub(_unescaped, value)
        case bool():
            return str(value).upper()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
