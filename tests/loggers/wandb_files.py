"""Reads what W&B keeps of an offline run: a log in LevelDB's format whose records are its protobufs."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record

HEADER, BLOCK, RECORD_HEADER = b":W&B", 32768, 7
FULL, FIRST, _MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class WandbFile:
    """The content of a `.wandb` file.

    Attributes:
        run: of the run record: id, project, name, ….
        config: by key.
        history: rows as logged.
        folder: of the media that rows name.
        sent: all that an upload reads, as text, but for where it finds its files.
        staged: where tables wait for it.
    """

    run: Any
    folder: Path
    sent: str
    staged: list[Path]
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def values(self, key: str) -> dict[int, Any]:
        """step → value; a step that has two fails."""
        found = [(row["step"], row[key]) for row in self.history if key in row]
        assert len(found) == len(dict(found)), f"{key}: a step is there twice: {[step for step, _ in found]}"
        return dict(found)


def read_wandb(folder: Path) -> WandbFile:
    """The one offline run of `folder`."""
    (path,) = wandb_paths(folder)
    return read_wandb_file(path)


def wandb_paths(folder: Path) -> list[Path]:
    """The files of a run's starts, in order of time where these are seconds apart."""
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def read_wandb_file(path: Path) -> WandbFile:
    """Everything in a file; its checksums hold."""
    wandb.teardown()  # its process may still be writing
    records = [Record.FromString(content) for content in _records(path.read_bytes())]
    (run,) = [record.run for record in records if record.HasField("run")]
    waiting = [item for record in records for item in record.artifact.manifest.contents]
    staged = [Path(item.local_path) for item in waiting]
    for item in waiting:
        item.local_path = ""
    result = WandbFile(run, path.parent, "\n".join(map(str, records)), staged)
    for item in run.config.update:
        result.config[item.key or item.nested_key[0]] = json.loads(item.value_json)
    for record in records:
        if record.HasField("history"):
            row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            result.history.append(row)
    return result


def _records(data: bytes) -> Iterator[bytes]:
    assert data.startswith(HEADER)
    place, parts = RECORD_HEADER, []
    while place < len(data):
        left = BLOCK - place % BLOCK
        if left < RECORD_HEADER:
            place += left
            continue
        checksum = int.from_bytes(data[place : place + 4], "little")
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        part = data[place + RECORD_HEADER : place + RECORD_HEADER + length]
        assert zlib.crc32(data[place + 6 : place + 7] + part) == checksum
        place += RECORD_HEADER + length
        parts = [part] if kind in (FULL, FIRST) else [*parts, part]
        if kind in (FULL, LAST):
            yield b"".join(parts)
