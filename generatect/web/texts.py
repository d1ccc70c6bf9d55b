"""The report of a volume on disk: in the sidecar beside it, or in a table of its folder or of one above."""

import json
from pathlib import Path
from typing import Any

from generatect.ct.volume_files import without_ending
from generatect.data.rows import read_rows
from generatect.errors import InputError

MAX_SIDECAR_BYTES = 1_000_000
MAX_TABLE_BYTES = 50_000_000
TEXT_COLUMNS = ("text", "prompt", "findings", "impression")
TABLE_ENDINGS = (".csv", ".xlsx")


def stem(path: Path) -> str:
    """Name of a volume without its ending."""
    return without_ending(path.name)


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON beside a volume, where it is one that this package writes; else nothing."""
    sidecar = path.with_name(f"{stem(path)}.json")
    try:
        if sidecar.stat().st_size > MAX_SIDECAR_BYTES:
            return {}
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and isinstance(content.get("notice"), str) else {}


def find_text(path: Path, root: Path) -> tuple[str | None, str | None]:
    """Report and notice that a table gives for a volume.

    Args:
        path: the volume.
        root: the topmost folder in which a table is looked for.
    """
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    for folder in folders:
        for table in _tables(folder):
            row = _row_of(table, path.relative_to(folder).as_posix())
            if row:
                text = " ".join(row[column] for column in TEXT_COLUMNS if row.get(column))
                return text or None, row.get("notice") or None
    return None, None


def _tables(folder: Path) -> list[Path]:
    """Tables in a folder that are small enough to look into."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in TABLE_ENDINGS and path.name[0] != "."]
        return sorted(path for path in found if path.stat().st_size <= MAX_TABLE_BYTES)
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
