"""A CSV that a spreadsheet shows and never executes."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from generatect.files import atomic_path

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_IGNORED = re.compile(r"[\s\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]*")
"""Spaces, controls and invisible marks, which a spreadsheet may drop before it looks at a cell's first character."""


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    r"""Writes a table as UTF-8 CSV, whole or not at all, for programs and for spreadsheets alike.

    What is read back is what was written, except: None is an empty cell; NUL is dropped and half a surrogate pair, as
    in the name of a file that is not UTF-8, is spelled `\udcff`; and a text that a spreadsheet would take for a formula
    gets an apostrophe in front (`'=HYPERLINK(…`, `'- nodule`), which `read_rows` takes off again. Numbers, -5 and
    "-1.5e3" too, stay numbers.

    Lines end in "\r\n", as RFC 4180 says: only then does every Python quote a lone "\r" or "\n" inside a text, so that
    it is no line end. Separated by commas: a spreadsheet told to split at semicolons would split texts, and start new
    cells there.

    Args:
        path: the CSV.
        header: column names.
        rows: cells, as many in each as the header has.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([safe_cell(name) for name in header])
        for row in rows:
            assert len(row) == len(header), f"{len(row)} cells, expected {len(header)}"
            writer.writerow([safe_cell(cell) for cell in row])


def safe_cell(cell: object) -> str:
    """A cell as text that no spreadsheet takes for a formula: OWASP's rule, full-width characters included."""
    text = "" if cell is None else str(cell).replace("\0", "")
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def original_cell(cell: str) -> str:
    """The text that `safe_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell.lstrip("'")) else cell


def _is_formula(text: str) -> bool:
    if _NUMBER.fullmatch(text):
        return False
    first = text[len(_IGNORED.match(text)[0]) :][:1]  # type: ignore[index]  # matches any text
    return unicodedata.normalize("NFKC", first) in ("=", "+", "-", "@") or text[:1] in ("\t", "\r", "\n")
