"""One process at a time in a folder."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from generatect.errors import InputError
from generatect.files import naming


@contextlib.contextmanager
def only_process(folder: Path, key: str = "output", share: str = "") -> Iterator[None]:
    """Holds the advisory lock of a folder, or of one share of the work in it.

    The system gives the lock back with the process, however that ends. Its file names the holder while it is held, and
    is gone afterwards; a killed process leaves the file, which stops nobody.

    Args:
        folder: an existing folder that can be written.
        key: the setting that names it.
        share: a part of the work that other processes leave alone, such as "shard 3"; empty for all of it.

    Raises:
        InputError: another process holds it; named by host and process.
    """
    path = lock_path(folder, share)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        what = f"{share} in it" if share else "it"
        raise InputError(
            f"{key}={folder}: another process works on {what} ({_holder(path)}); wait until it ends, or choose another "
            f"{key}"
        ) from error
    try:
        with naming(path):
            path.write_text(f"host {socket.gethostname()}, process {os.getpid()}", encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes it with the release
            path.unlink()  # while it is held, so that nobody else's is taken away
        lock.release()


def lock_path(folder: Path, share: str) -> Path:
    """The lock's file; there only while it is held, or after its holder was killed."""
    return folder / (f".{share.replace(' ', '-')}.lock" if share else ".lock")


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of this file."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "not known which"
    except (OSError, UnicodeDecodeError):
        return "not known which"
