"""Arrays that are made once: a folder of files named by the hash of what they were made from, checked when read."""

import hashlib
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from generatect.data.array_file import ArrayFile, DamagedFile, write_array
from generatect.errors import InputError
from generatect.files import atomic_path, writable_folder

# Part of every key: raise it when the way arrays are made changes, and nothing stale is ever read.
CODE_VERSION = "3"

ABANDONED_S = 3600.0
"""An unfinished file that nobody has written to for so long belongs to nobody."""
_WRITER = re.compile(r"\.by-(?P<host>.+)-(?P<pid>\d+)\.part")


class CacheError(InputError):
    """The cache itself fails, whichever volume was asked for."""


class ArrayCache:
    """A cache of NumPy arrays on disk.

    Entries are written atomically, read by memory map and checked by their checksums; one that is damaged or foreign is
    made again. Several processes may make the same entry at once: they make it alike, and the last one's stays.

    Args:
        folder: where the files live; created where absent.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = writable_folder(Path(folder).expanduser(), "cache_dir")

    def get(self, parts: tuple[str, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array made from `parts`, read-only; made and kept where it is not there or damaged."""
        with suppress(OSError, DamagedFile):
            return self._open(parts).whole()
        self.put(parts, make())
        return self.read(parts)

    def planes(self, parts: tuple[str, ...], make: Callable[[], np.ndarray], indices: Sequence[int]) -> np.ndarray:
        """Planes along the leading axis of that array, a copy; only these are read and checked."""
        with suppress(OSError, DamagedFile):
            return self._open(parts).planes(indices)
        self.put(parts, make())
        return self.read(parts)[list(indices)]

    def read(self, parts: tuple[str, ...]) -> np.ndarray:
        """The array made from `parts` earlier, read-only.

        Raises:
            CacheError: it is gone or damaged.
        """
        try:
            return self._open(parts).whole()
        except (OSError, DamagedFile) as error:
            raise self._lost(parts) from error

    def put(self, parts: tuple[str, ...], array: np.ndarray) -> None:
        """Keeps what was made from `parts`.

        Raises:
            CacheError: it cannot be written, as on a full disk.
        """
        path = self.path(parts)
        # The name says who writes, so that what a killed process leaves is told from what a living one still writes.
        own = path.with_name(f".{path.name}.by-{platform.node()}-{os.getpid()}.part")
        try:
            with atomic_path(own) as temporary:
                write_array(temporary, array, path.stem)
            os.replace(own, path)
        except OSError as error:
            raise CacheError(
                f"cache_dir={self.folder}: cannot be written ({error.strerror}); make room or choose another folder"
            ) from error
        finally:
            own.unlink(missing_ok=True)

    def __contains__(self, parts: tuple[str, ...]) -> bool:
        """Whether an entry of full size is there; its values are checked when they are read."""
        try:
            self._open(parts)
        except (OSError, DamagedFile):
            return False
        return True

    def holds(self, parts: tuple[str, ...]) -> bool:
        """Whether the entry is there with every value as it was written; reads all of it."""
        try:
            self._open(parts).whole()
        except (OSError, DamagedFile):
            return False
        return True

    def checksums(self, parts: tuple[str, ...]) -> tuple[int, ...]:
        """Checksum of each plane of an entry, read without the planes: equal arrays have equal ones.

        Raises:
            CacheError: it is gone or damaged.
        """
        try:
            return self._open(parts).checksums
        except (OSError, DamagedFile) as error:
            raise self._lost(parts) from error

    def path(self, parts: tuple[str, ...]) -> Path:
        """Where the array made from `parts` is kept."""
        key = hashlib.sha256("\0".join((CODE_VERSION, *parts)).encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.npy"

    def remove_unfinished(self) -> int:
        """Removes what killed processes have left half written; returns the number of files."""
        abandoned = [path for path in self.folder.glob("[0-9a-f][0-9a-f]/.*.part") if _is_abandoned(path)]
        for path in abandoned:
            path.unlink(missing_ok=True)
        return len(abandoned)

    def _lost(self, parts: tuple[str, ...]) -> CacheError:
        return CacheError(f"cache_dir={self.folder}: {self.path(parts).name} is gone or damaged; start again")

    def _open(self, parts: tuple[str, ...]) -> ArrayFile:
        path = self.path(parts)
        return ArrayFile(path, path.stem)


def _is_abandoned(path: Path) -> bool:
    """Whether nobody writes to an unfinished file any more: its writer on this machine is gone, or it lies for long."""
    writer = _WRITER.search(path.name)
    if writer is not None and writer["host"] == platform.node() and not _is_running(int(writer["pid"])):
        return True
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_S
    except FileNotFoundError:  # finished meanwhile
        return False


def _is_running(pid: int) -> bool:
    """Whether a process of this machine lives; one that is dead and not yet buried does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, or a system without /proc
        return True
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")
