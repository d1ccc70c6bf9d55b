"""Prompts to generate from: one on the command line, or a table of them."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from generatect.data.rows import read_rows
from generatect.data.table import given_text
from generatect.errors import InputError
from generatect.text.prompt import require_text

TEXT_COLUMNS = ("prompt", "text", "text_prompts")
NAME_COLUMNS = ("name", "names")
"""What the columns may be called, in any case; the last is GenerateCT's. The first that a table has counts."""

MAX_NAME_BYTES = 200
"""A file name may have 255, and endings and a temporary file's prefix are added."""

_ENDING = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_UNSAFE = re.compile(r"^\.|[/\\\x00-\x1f\x7f]")
"""Hidden files and the parent folder, separators of folders anywhere, control characters."""

_LIKE_A_RESULT = re.compile(r"\.(rejected|json|jsonl|png|npy|csv|md)$", re.IGNORECASE)
"""How files of a dataset end: `a.rejected.json` says why `a` was rejected, and would be the sidecar of `a.rejected`."""


@dataclass(frozen=True)
class Prompt:
    """A text and the name of the files made from it.

    Attributes:
        name: of the files, without ending.
        text: what to generate.
        columns: the other columns of its table, as they are: labels, age, sex, ….
    """

    name: str
    text: str
    columns: dict[str, str] = field(default_factory=dict)


def gather_prompts(prompt: str | None, prompts: str | None) -> list[Prompt]:
    """The prompts of a command.

    Args:
        prompt: a single text.
        prompts: a CSV or .xlsx with a column `prompt` (or `text`, `Text_prompts`) and, if wanted, `name` (or `Names`).
            A `.nii.gz` or `.nii` at the end of a name goes; rows without a name are numbered. The other columns, such
            as labels, come along.

    Raises:
        InputError: neither or both given, a text that is empty, stands for none ("nan") or cannot be written, a missing
            file or column, a name twice or that no file can have.
    """
    if (prompt is None) == (prompts is None):
        raise InputError('prompt: give either prompt="a report" or prompts=FILE.csv')
    if prompt is not None:
        require_text(prompt, "prompt")
        text = given_text(prompt)
        if not text:
            what = f"{prompt.strip()!r} stands for no report" if prompt.strip() else "is empty"
            raise InputError(f"prompt: {what}; describe the chest CT to generate")
        return [Prompt("generated", text)]
    return _read(Path(prompts or "").expanduser())


def _read(path: Path) -> list[Prompt]:
    header, rows = read_rows(path, "a table with a column 'prompt'")
    text_column, name_column = _column(header, TEXT_COLUMNS), _column(header, NAME_COLUMNS)
    if text_column is None:
        raise InputError(f"{path}: no column 'prompt' or 'text' among {', '.join(header)}")
    if not rows:
        raise InputError(f"{path}: no rows below the header; expected one for each prompt")
    found, taken = list[Prompt](), dict[str, int]()
    for number, row in enumerate(rows, start=1):
        text, name = given_text(row[text_column]), row[name_column] if name_column else ""
        name = _ENDING.sub("", name) or f"{number - 1:04d}"
        if not text:
            raise InputError(f"{path} row {number}: the prompt is empty; write one or remove the row")
        if _UNSAFE.search(name) or len(name.encode()) > MAX_NAME_BYTES:
            raise InputError(
                f"{path} row {number}: name {name[:40]!r} is no plain file name of at most {MAX_NAME_BYTES} bytes; "
                "choose another"
            )
        if ending := _LIKE_A_RESULT.search(name):
            raise InputError(
                f"{path} row {number}: name {name[:40]!r} ends in {ending[0]}, as files beside volumes do; "
                "choose another"
            )
        if name.casefold() in taken:  # some disks take "a" and "A" for one file
            other = taken[name.casefold()]
            raise InputError(f"{path} row {number}: name {name!r} is used twice, in row {other} too; choose another")
        taken[name.casefold()] = number
        others = {key: cell for key, cell in row.items() if key not in (text_column, name_column)}
        found.append(Prompt(name, text, others))
    return found


def _column(header: list[str], names: tuple[str, ...]) -> str | None:
    """The table's column of the first of these names."""
    return next((column for name in names for column in header if column.lower() == name), None)
