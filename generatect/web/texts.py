"""The report of a volume on disk: in the sidecar beside it, or in a table of its folder or of one above."""

import json
from pathlib import Path
from typing import Any

from generatect.ct.volume_files import without_ending
from generatect.data.rows import read_rows
from generatect.errors import InputError
from generatect.web.answers import plain
from generatect.web.within import is_file_within, open_file

MAX_SIDECAR_BYTES = 1_000_000
MAX_TABLE_BYTES = 50_000_000
TEXT_COLUMNS = ("text", "prompt", "findings", "impression")
TABLE_ENDINGS = (".csv", ".xlsx")


def stem(path: Path) -> str:
    """Name of a volume without its ending."""
    return without_ending(path.name)


def read_sidecar(path: Path, within: Path | None = None) -> dict[str, Any]:
    """The JSON beside a volume, where it is one that this package writes; else nothing.

    Args:
        path: the volume.
        within: folder that links may not lead out of; None: they may lead anywhere.

    Returns:
        What `plain` makes of it, so that it can be sent, written and drawn.
    """
    try:
        sidecar = path.with_name(f"{stem(path)}.json")
        if within is not None and not is_file_within(sidecar, within):
            return {}
        with open_file(sidecar) as file:
            content = file.read(MAX_SIDECAR_BYTES + 1)
        content = plain(json.loads(content.decode("utf-8"))) if len(content) <= MAX_SIDECAR_BYTES else None
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("notice"), str) else {}


def find_text(path: Path, root: Path, within: Path | None = None) -> tuple[str | None, str | None]:
    """Report and notice that a table gives for a volume.

    Args:
        path: the volume.
        root: the topmost folder in which a table is looked for.
        within: folder that links to a table may not lead out of; None: they may lead anywhere.
    """
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    for folder in folders:
        for table in _tables(folder, within):
            row = _row_of(table, path.relative_to(folder).as_posix())
            if row:
                text = " ".join(row[column] for column in TEXT_COLUMNS if row.get(column))
                return text or None, row.get("notice") or None
    return None, None


def _tables(folder: Path, within: Path | None) -> list[Path]:
    """Tables in a folder that are small enough to look into, and may be."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in TABLE_ENDINGS and path.name[0] != "."]
        files = [path for path in found if (path.is_file() if within is None else is_file_within(path, within))]
        return sorted(path for path in files if path.stat().st_size <= MAX_TABLE_BYTES)
    except OSError:
        return []


def _row_of(table: Path, name: str) -> dict[str, str]:
    """The row whose `volume` is that name, with or without its ending."""
    try:
        header, rows = read_rows(table, "a table with a column 'volume'")
    except InputError:  # some other table
        return {}
    if "volume" not in header:
        return {}
    wanted = {name, without_ending(name)}
    return next((row for row in rows if row["volume"] in wanted), {})
