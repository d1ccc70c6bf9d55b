"""Items of shards by number: each is one read of its own bytes, wherever the shards live."""

import bisect
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from generatect.data.object_store import FolderStore, Store
from generatect.data.shard_item import DamagedItem, unpack_item
from generatect.errors import InputError
from generatect.files import atomic_path

_FILE_NAME = re.compile(r"chunk-\d+-\d+\.bin")
FETCH_BYTES = 16 << 20
"""So much at a time of a file that is fetched as a whole."""
Item = tuple[dict[str, np.ndarray], dict[str, str]]


class ShardReader:
    """Items of one side, in the order in which they were written.

    LitData's reader is made for reading shards through. Asked for single items in random order it maps and reads ahead
    a whole shard for each on a drive, and needs two requests for each from an object store. Here a shard's table of
    offsets is read once for each process, and an item is one read.

    Shards of an object store are kept in a folder as far as there is room, always the same ones: in a random order over
    the whole archive every shard is as likely to come next as any other, so that nothing is won by throwing one out for
    another.

    Args:
        store: where the shards are.
        side: "train" or "val".
        shards: LitData's index: file name, number of items and bytes of each.
        keep: folder for shards that are kept; None keeps none.
        keep_bytes: room there.

    Raises:
        InputError: a file name that would lead elsewhere.
    """

    def __init__(
        self, store: Store, side: str, shards: Sequence[dict[str, Any]], keep: Path | None = None, keep_bytes: int = 0
    ) -> None:
        if foreign := [shard["filename"] for shard in shards if not _FILE_NAME.fullmatch(shard["filename"])]:
            raise InputError(f"{store.root}: {side} names a shard {foreign[0]!r}, expected chunk-0-0.bin and so on")
        self.store, self.side, self.shards = store, side, shards
        self.ends = list(itertools.accumulate(shard["chunk_size"] for shard in shards))
        sizes = list(itertools.accumulate(shard["chunk_bytes"] for shard in shards))
        self.num_kept = bisect.bisect_right(sizes, keep_bytes) if keep is not None else 0
        self.kept_bytes = sizes[self.num_kept - 1] if self.num_kept else 0
        self._kept = FolderStore(str(keep), "cache_dir") if keep is not None else None
        self._offsets: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, number: int) -> Item:
        """Arrays and texts of an item.

        Raises:
            InputError: it cannot be read, or is not what was written.
        """
        shard = bisect.bisect_right(self.ends, number)
        place = number - (self.ends[shard - 1] if shard else 0)
        start, end = map(int, self._table(shard)[place : place + 2])
        data = self._read(shard, start, end - start)
        # LitData's framing of a single value: its length, as 32 bits, and the value
        if len(data) != end - start or int.from_bytes(data[:4], "little") != len(data) - 4:
            raise self._damaged(shard, place)
        try:
            return unpack_item(data[4:])
        except DamagedItem as error:
            raise self._damaged(shard, place) from error

    def _table(self, shard: int) -> np.ndarray:
        """Where the items of a shard begin, and where the last one ends.

        A LitData shard begins with the number of items and these offsets, all of 32 bits.
        """
        if shard not in self._offsets:
            size, num_bytes = self.shards[shard]["chunk_size"], self.shards[shard]["chunk_bytes"]
            table = self._read(shard, 0, 4 * (size + 2))
            numbers = np.frombuffer(table[: len(table) // 4 * 4], dtype="<u4").astype(np.int64)
            is_sound = len(numbers) == size + 2 and numbers[0] == size and numbers[-1] == num_bytes
            if not is_sound or (np.diff(numbers[1:]) < 4).any():
                raise self._damaged(shard, None)
            self._offsets[shard] = numbers[1:].astype(np.uint32)
        return self._offsets[shard]

    def _read(self, shard: int, start: int, num_bytes: int) -> bytes:
        name = f"{self.side}/{self.shards[shard]['filename']}"
        if shard >= self.num_kept or self._kept is None:
            return self.store.read_range(name, start, num_bytes)
        fetch(self.store, name, self.shards[shard]["chunk_bytes"], Path(self._kept.root, name))
        return self._kept.read_range(name, start, num_bytes)

    def _damaged(self, shard: int, place: int | None) -> InputError:
        kept = self._kept is not None and shard < self.num_kept
        root = self._kept.root if kept and self._kept is not None else self.store.root
        where = "its table" if place is None else f"item {place}"
        advice = "remove it there" if kept else "write the shards anew, or copy them again"
        name = self.shards[shard]["filename"]
        return InputError(f"{root}: {where} of {self.side}/{name} is not what was written; {advice}")


def fetch(store: Store, name: str, num_bytes: int, path: Path) -> None:
    """Copies a file of a store to `path`, once for all processes that ask for it; done already, it does nothing."""
    if path.is_file():
        return
    from filelock import FileLock  # comes with LitData

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                with atomic_path(path) as temporary:
                    _copy(store, name, num_bytes, temporary)
    except OSError as error:
        advice = "lower data.max_cache_gb or make room"
        raise InputError(f"{path}: cannot be written ({error.strerror}); {advice}") from error


def _copy(store: Store, name: str, num_bytes: int, path: Path) -> None:
    with path.open("wb") as file:
        for start in range(0, num_bytes, FETCH_BYTES):
            file.write(store.read_range(name, start, min(FETCH_BYTES, num_bytes - start)))
        if file.tell() != num_bytes:
            raise InputError(f"{store.root}: {name} has {file.tell()} bytes, expected {num_bytes}; write it anew")
