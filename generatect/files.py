"""Files that are either whole or absent."""

import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from generatect.errors import InputError

_UNFINISHED, _RANDOM_BYTES = ".part", 8
_LONGEST_NAME_BYTES = 255
"""Of a file, on all systems in use."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder; on success it replaces `path`, on any failure it is removed.

    The same folder, because a rename is atomic only within one filesystem; fsync before it, because a rename may reach
    the disk before the data does.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path.name), suffix=_UNFINISHED)
        temporary = Path(name)
        try:
            os.close(handle)
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_prefix(name: str) -> str:
    """How the names begin under which `atomic_path` writes a file; it cuts a name that would become too long."""
    room = _LONGEST_NAME_BYTES - len("..") - _RANDOM_BYTES - len(_UNFINISHED)
    return f".{name.encode(errors='surrogateescape')[:room].decode(errors='ignore')}."


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds `path` to an error of the system that names no file, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None and not isinstance(error, ConnectionError):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside it; on success it takes the place of `folder`, on any failure it is removed.

    What was in `folder` is gone afterwards. A process killed between the two renames leaves no `folder`, and both.
    """
    with naming(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = temporary_prefix(folder.name)
        temporary, old = (
            Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix, suffix=_UNFINISHED)) for _ in ("new", "old")
        )
        try:
            yield temporary
            for path in temporary.iterdir():
                with open(path, "rb+") as file:
                    os.fsync(file.fileno())
                os.chmod(path, 0o666 & ~_umask())
            os.chmod(temporary, 0o777 & ~_umask())
            if folder.exists():
                os.replace(folder, old / folder.name)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def writable_folder(path: str | Path, key: str = "output") -> Path:
    """Creates the folder and proves that a file can be written there, before hours are spent on what goes into it.

    `~` is the home folder: a shell leaves it alone behind a `key=`.

    Raises:
        InputError: naming the setting, the path and the reason.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{key}={folder}: cannot write there ({error.strerror}); choose a folder that can be written"
        ) from error
    return folder


def first_free(folder: Path, name: str) -> Path:
    """The first of `name` with 1, 2, … put in that nothing in the folder is called.

    Args:
        folder: where to look.
        name: with a pair of braces, such as "config-{}.yaml".
    """
    paths = (folder / name.replace("{}", str(number)) for number in itertools.count(1))
    return next(path for path in paths if not path.exists())


def require_space(path: Path, num_bytes: int, key: str = "output") -> None:
    """Refuses a file that its disk has no room for, before anything is written.

    Raises:
        InputError: naming the setting, the path, what is needed and what is free.
    """
    free = shutil.disk_usage(path.parent).free
    if free < num_bytes:
        raise InputError(
            f"{key}={path}: needs {num_bytes / 1e6:.0f} MB, but {free / 1e6:.0f} MB are free there; "
            "choose another disk or make room"
        )


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
