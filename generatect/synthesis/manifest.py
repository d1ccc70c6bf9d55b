"""A line of JSON for each volume, written as it is made: one file for each process, and one of all at the end."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from generatect.errors import InputError
from generatect.files import atomic_path, naming
from generatect.synthesis.work import Shard

MANIFEST = "manifest.jsonl"


def append_line(folder: Path, shard: Shard, line: Mapping[str, Any]) -> None:
    """Adds a volume to the manifest of a process; it is on disk when this returns.

    A process that was killed may have left half a line; the next one starts on a line of its own.
    """
    path = folder / f"manifest-{shard.index}-of-{shard.count}.jsonl"
    is_torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write("\n" * is_torn + json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The lines of a finished dataset.

    Raises:
        InputError: a line that is none.
    """
    path = folder / MANIFEST
    try:
        lines = [json.loads(line) for line in _lines(path)]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as lines of JSON; finish the dataset again") from error
    if not all(isinstance(line, dict) for line in lines):
        raise InputError(f"{path}: expected a JSON object in each line; finish the dataset again")
    return lines


def seconds_by_volume(folder: Path) -> dict[str, float]:
    """How long each volume took, by its hash, as all processes so far have written it down."""
    found = {}
    for path in sorted(folder.glob("manifest-*-of-*.jsonl")):
        for line in _lines(path):
            with suppress(KeyError, TypeError, ValueError):  # half a line
                entry = json.loads(line)
                found[entry["volume_sha256"]] = float(entry["seconds"])
    return found


def _lines(path: Path) -> list[bytes]:
    """Lines that are not empty. A report may hold any letter, also those by which `str.splitlines` divides."""
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def write_manifest(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Writes the manifest of the whole dataset, in the order of its table."""
    with atomic_path(folder / MANIFEST) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")
