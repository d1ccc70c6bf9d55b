"""Writing: a stage's prepared items in files of about equal size, in LitData's format, for object storage.

    ROOT/generatect.index.json   what the shards are made for and from; written last, so that it vouches for the rest
    ROOT/train/index.json        LitData's index: files, and how many items each has
    ROOT/train/chunk-0-17.bin    a shard
    ROOT/train/done-17.index.json  what went into it: a writing that was killed goes on behind the last of these
    ROOT/val/…                   likewise, of patients who are not in train

A shard holds whole volumes in the order of the archive, so each can be made, checked and made again by itself.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from generatect import __version__
from generatect.data.bad_volumes import BadVolumes
from generatect.data.cache import CacheError
from generatect.data.object_store import Store, import_litdata
from generatect.data.shard_header import FORMAT, HEADER, INDEX, SIDES, Purpose, as_json_bytes
from generatect.data.shard_makers import Arrays, ItemMaker
from generatect.errors import InputError
from generatect.files import naming

# LitData keeps a shard's offsets as 32-bit numbers.
MAX_SHARD_BYTES = 4_000_000_000


def write_shards(
    store: Store,
    purpose: Purpose,
    maker: ItemMaker,
    sides: dict[str, Sequence[int]],
    bad: BadVolumes,
    shard_bytes: int,
    num_workers: int = 0,
    show: Callable[[str, int, int], None] = lambda *_: None,
) -> dict[str, Any]:
    """Writes the shards of both sides, or what is missing of them.

    Args:
        store: where to.
        purpose: what they are made for.
        maker: makes the items.
        sides: "train" and "val": which pairs.
        bad: what to do about volumes that cannot be read.
        shard_bytes: about how large a shard shall be.
        num_workers: processes that read volumes; 0 reads in this one.
        show: is told (side, volumes done, volumes).

    Returns:
        The header that was written last.

    Raises:
        InputError: the store holds shards for something else or cannot be written, or a volume cannot be read.
    """
    assert set(sides) == set(SIDES)
    earlier = store.read_json(HEADER)
    if earlier is not None and (earlier.get("stage"), earlier.get("format")) != (purpose.stage, FORMAT):
        raise InputError(
            f"output={store.root}: holds shards of stage {earlier.get('stage')}, format {earlier.get('format')}; "
            f"expected stage {purpose.stage}, format {FORMAT}; choose another output"
        )
    header = {"format": FORMAT, "version": __version__, **purpose.to_dict(), "complete": False, "sides": {}}
    _put_json(store, HEADER, header)  # from here on nobody trains on a mixture
    for side in SIDES:
        writer = _SideWriter(store, purpose, maker, side, bad, shard_bytes)
        header["sides"][side] = writer.write(sides[side], num_workers, show)
    header["complete"] = True
    _put_json(store, HEADER, header)
    return header


@dataclass(frozen=True)
class _SideWriter:
    """Writes one side."""

    store: Store
    purpose: Purpose
    maker: ItemMaker
    side: str
    bad: BadVolumes
    shard_bytes: int

    def write(self, indices: Sequence[int], num_workers: int, show: Callable[[str, int, int], None]) -> dict[str, Any]:
        """Writes what is missing and then the side's index; returns its entry in the header."""
        per_shard = max(1, self.shard_bytes // self.maker.bytes_per_volume)
        groups = [list(indices[start : start + per_shard]) for start in range(0, len(indices), per_shard)]
        keys = [self._key(group) for group in groups]
        records = [self._read_record(number) for number in range(len(groups))]
        missing = [n for n, record in enumerate(records) if record is None or record.get("key") != keys[n]]
        wanted = [index for number in missing for index in groups[number]]
        loading = _Loading(self.maker, wanted)
        # As they are: tensors would go through shared memory, of which containers have little.
        loaded = iter(DataLoader(loading, batch_size=None, num_workers=num_workers, collate_fn=_as_it_is))
        done = len(indices) - len(wanted)
        show(self.side, done, len(indices))
        for number in missing:
            if records[number] is not None:  # it vouches for a file that is about to be another
                _put_json(self.store, self._record_name(number), {"key": None})
            items: list[bytes] = []
            for index in groups[number]:
                content = _next(loaded, num_workers)
                with self.bad.leaving_out(index):
                    if isinstance(content, str):
                        raise InputError(content)
                    items += self.maker.items(index, content)
                done += 1
                show(self.side, done, len(indices))
            records[number] = self._write_shard(number, items, keys[number], per_shard * self.maker.items_per_volume)
        shards = [record["chunk"] for record in records if record["chunk"] is not None]  # type: ignore[index]
        config = next((record["config"] for record in records if record["chunk"] is not None), None)  # type: ignore[index]
        # LitData takes any text for a version. The time would call the same shards, written or finished again, others.
        version = hashlib.sha256("".join(keys).encode()).hexdigest()
        index_json = {"chunks": shards, "config": config, "updated_at": version}
        sha256 = _put_json(self.store, f"{self.side}/{INDEX}", index_json)
        volumes = sum(shard["chunk_size"] for shard in shards) // self.maker.items_per_volume
        num_bytes = sum(shard["chunk_bytes"] for shard in shards)
        return {"volumes": volumes, "left_out": len(indices) - volumes, "bytes": num_bytes, "index_sha256": sha256}

    def _write_shard(self, number: int, items: list[bytes], key: str, max_items: int) -> dict[str, Any]:
        """Writes one shard, and then the record that says so."""
        record: dict[str, Any] = {"key": key, "chunk": None, "config": None}
        size = sum(map(len, items))
        if size > MAX_SHARD_BYTES:
            raise InputError(
                f"shard_mb={self.shard_bytes / 1e6:g}: shard {number} would take {size / 1e6:.0f} MB, expected at most "
                f"{MAX_SHARD_BYTES / 1e6:.0f}; lower it"
            )
        if items:
            litdata = import_litdata("litdata.streaming.writer", f"output={self.store.root}")
            with tempfile.TemporaryDirectory() as folder:
                writer = litdata.BinaryWriter(folder, chunk_size=max_items, chunk_index=number)
                for place, item in enumerate(items):
                    writer.add_item(place, item)
                (path,) = map(Path, writer.done())
                (written,) = Path(folder).glob("*.index.json")
                content = json.loads(written.read_text(encoding="utf-8"))
                assert content["config"]["data_format"] == ["bytes"], "pickles would be run when they are read"
                (record["chunk"],), record["config"] = content["chunks"], content["config"]
                self.store.put(path, f"{self.side}/{path.name}")
        _put_json(self.store, self._record_name(number), {**record, "checksum": _checksum(record)})
        return record

    def _read_record(self, number: int) -> dict[str, Any] | None:
        """What is said of a shard that was written; None where there is no such record, or not as it was written."""
        try:
            record = self.store.read_json(self._record_name(number))
        except InputError as error:
            if isinstance(error.__cause__, ValueError):  # damaged
                return None
            raise
        is_whole = isinstance(record, dict) and record.pop("checksum", None) == _checksum(record)
        return record if is_whole else None

    def _record_name(self, number: int) -> str:
        return f"{self.side}/done-{number}.{INDEX}"

    def _key(self, group: Sequence[int]) -> str:
        """Changes with everything that the shard's content depends on."""
        pairs, digest = self.maker.inputs.pairs, hashlib.sha256()
        parts: list[Any] = [FORMAT, replace(self.purpose, notice=None).to_dict(), self.shard_bytes]
        for index in group:
            content: Any = None
            with self.bad.leaving_out(index):
                content = self.maker.inputs.key(index)
            parts.append([pairs.name(index), content, pairs.text(index), pairs.labels(index)])
        digest.update(json.dumps(parts).encode())
        return digest.hexdigest()


class _Loading(Dataset):
    """What `ItemMaker.load` gives of these pairs, or one line that says why it cannot."""

    def __init__(self, maker: ItemMaker, indices: Sequence[int]) -> None:
        self.maker, self.indices = maker, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Arrays | str:
        try:
            return self.maker.load(self.indices[place])
        except CacheError:
            raise  # no fault of the volume
        except InputError as error:
            return str(error)


def _as_it_is(content: Any) -> Any:
    return content


def _next(loaded: Iterator[Arrays | str], num_workers: int) -> Arrays | str:
    try:
        return next(loaded)
    except RuntimeError as error:
        if "exited unexpectedly" not in str(error):
            raise
        raise InputError(
            f"workers={num_workers}: a worker process was killed, perhaps for want of memory; try with fewer"
        ) from error


def _checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(as_json_bytes(record)).hexdigest()


def _put_json(store: Store, name: str, content: dict[str, Any]) -> str:
    """Writes a JSON file; returns the hash of its bytes."""
    data = as_json_bytes(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "content.json")
        with naming(path):
            path.write_bytes(data)
        store.put(path, name)
    return hashlib.sha256(data).hexdigest()
