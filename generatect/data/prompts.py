"""Prompts to generate from: one on the command line, or a table of them."""

import csv
from dataclasses import dataclass
from pathlib import Path

from generatect.errors import InputError


@dataclass(frozen=True)
class Prompt:
    """A text and the name of the files made from it."""

    name: str
    text: str


def gather_prompts(prompt: str | None, prompts: str | None) -> list[Prompt]:
    """The prompts of a command.

    Args:
        prompt: a single text.
        prompts: a CSV with a column `prompt` (or `text`) and, if wanted, `name`.

    Raises:
        InputError: neither or both given, an empty text, a missing file or column, a name twice or with a slash.
    """
    if (prompt is None) == (prompts is None):
        raise InputError('prompt: give either prompt="a report" or prompts=FILE.csv')
    if prompt is not None:
        if not prompt.strip():
            raise InputError("prompt: is empty; describe the chest CT to generate")
        return [Prompt("generated", prompt.strip())]
    return _read(Path(prompts or ""))


def _read(path: Path) -> list[Prompt]:
    if not path.is_file():
        raise InputError(f"prompts={path}: no such file; expected a CSV with a column 'prompt'")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"prompts={path}: not a CSV in UTF-8 ({error})") from error
    if not rows:
        raise InputError(f"prompts={path}: has no rows; expected a header and one prompt a row")
    column = next((name for name in ("prompt", "text") if name in rows[0]), None)
    if column is None:
        raise InputError(f"prompts={path}: no column 'prompt' or 'text' among {', '.join(map(str, rows[0]))}")
    found: dict[str, Prompt] = {}
    for number, row in enumerate(rows, start=2):
        text, name = (row[column] or "").strip(), (row.get("name") or f"{number - 2:04d}").strip()
        if not text:
            raise InputError(f"prompts={path}, line {number}: the prompt is empty")
        if name in found or Path(name).name != name:
            raise InputError(f"prompts={path}, line {number}: name {name!r} is used twice or is no plain file name")
        found[name] = Prompt(name, text)
    return list(found.values())
