"""Prompts to generate from: one on the command line, or a table of them."""

from dataclasses import dataclass
from pathlib import Path

from generatect.data.csv_rows import read_csv
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
    return _read(Path(prompts or "").expanduser())


def _read(path: Path) -> list[Prompt]:
    header, rows = read_csv(path, "a CSV with a column 'prompt'")
    column = next((name for name in ("prompt", "text") if name in header), None)
    if column is None:
        raise InputError(f"{path}: no column 'prompt' or 'text' among {', '.join(header)}")
    if not rows:
        raise InputError(f"{path}: no rows below the header; expected one for each prompt")
    found: dict[str, Prompt] = {}
    for number, row in enumerate(rows, start=1):
        text, name = row[column], row.get("name") or f"{number - 1:04d}"
        if not text:
            raise InputError(f"{path} row {number}: the prompt is empty; write one or remove the row")
        if name in found or Path(name).name != name:
            raise InputError(
                f"{path} row {number}: name {name!r} is used twice or is no plain file name; choose another"
            )
        found[name] = Prompt(name, text)
    return list(found.values())
