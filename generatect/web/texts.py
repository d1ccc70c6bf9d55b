"""The report of a volume on disk: in the sidecar beside it, or in a table of its folder or of one above."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from generatect.ct.volume_files import volume_name, without_ending
from generatect.data.layouts.folder import paths_below
from generatect.data.rows import read_rows
from generatect.data.table import given_text
from generatect.errors import InputError
from generatect.web.answers import plain
from generatect.web.within import is_file_within, open_file

MAX_SIDECAR_BYTES = 1_000_000
MAX_TABLE_BYTES = 50_000_000
TEXT_COLUMNS = ("text", "prompt", "findings", "impression")
MAX_TABLES = 8
"""Kept as they were read, until they change: a page that opens volumes asks for one table again and again."""
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
            said = _read_table(*table).get(volume_name(path.relative_to(folder).as_posix()))
            if said is not None:
                return said
    return None, None


def _tables(folder: Path, within: Path | None) -> list[tuple[Path, int, int]]:
    """Tables in a folder that are small enough to look into, and may be, each with what changes when it does."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in TABLE_ENDINGS and path.name[0] != "."]
        files = [path for path in paths if (path.is_file() if within is None else is_file_within(path, within))]
        states = [(path, path.stat()) for path in sorted(files)]
    except OSError:
        return []
    return [(path, state.st_mtime_ns, state.st_size) for path, state in states if state.st_size <= MAX_TABLE_BYTES]


@lru_cache(maxsize=MAX_TABLES)
def _read_table(table: Path, _changed: int, _size: int) -> Mapping[str, tuple[str | None, str | None]]:
    """Volume without its ending → text and notice of its first row; nothing for some other table."""
    try:
        header, rows = read_rows(table, "a table with a column 'volume'")
    except InputError:
        return {}
    said: dict[str, tuple[str | None, str | None]] = {}
    for row in rows if "volume" in header else ():
        text = " ".join(filter(None, (given_text(row.get(column, "")) for column in TEXT_COLUMNS)))
        for path in paths_below(table.parent, row["volume"]):
            said.setdefault(volume_name(path.as_posix()), (text or None, row.get("notice") or None))
    return said
