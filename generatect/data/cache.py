"""Arrays that are made once: a folder of `.npy` files named by the hash of what they were made from."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from generatect.errors import InputError
from generatect.files import atomic_path, writable_folder

# Part of every key: raise it when the way arrays are made changes, and nothing stale is ever read.
CODE_VERSION = "1"


class ArrayCache:
    """A cache of NumPy arrays on disk.

    Files are written atomically and read by memory map; one that cannot be read is made again.

    Args:
        folder: where the files live; created where absent.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = writable_folder(Path(folder).expanduser(), "cache_dir")

    def get(self, parts: tuple[str, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array made from `parts`, read where it exists, else made and kept."""
        path = self.path(parts)
        if path.is_file():
            try:
                return np.load(path, mmap_mode="r", allow_pickle=False)
            except (ValueError, EOFError, OSError):  # cut short by a full disk or a copy: make it again
                path.unlink(missing_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, make(), allow_pickle=False)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def read(self, parts: tuple[str, ...]) -> np.ndarray:
        """The array made from `parts` earlier.

        Raises:
            InputError: it is gone.
        """
        try:
            return np.load(self.path(parts), mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"cache_dir={self.folder}: {self.path(parts).name} is gone; start again") from error

    def __contains__(self, parts: tuple[str, ...]) -> bool:
        return self.path(parts).is_file()

    def path(self, parts: tuple[str, ...]) -> Path:
        """Where the array made from `parts` is kept."""
        key = hashlib.sha256("\0".join((CODE_VERSION, *parts)).encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.npy"


class CachedArrays(Sequence[np.ndarray]):
    """Arrays of a cache in order, each opened when it is asked for: an archive has more than a process may hold open.

    Args:
        cache: holds them all.
        keys: what each was made from.
    """

    def __init__(self, cache: ArrayCache, keys: list[tuple[str, ...]]) -> None:
        self.cache, self.keys = cache, keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, place: int) -> np.ndarray:  # type: ignore[override]  # slices are not needed
        return self.cache.read(self.keys[place])
