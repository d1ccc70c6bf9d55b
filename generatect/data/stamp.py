"""Whether a file is still the one that it was, told without reading it."""

from collections.abc import Sequence
from pathlib import Path

from generatect.ct.volume_files import files_below
from generatect.errors import InputError

Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp:
    """Size and latest changes of a file, or of all files of a folder; zeros where there is nothing.

    The first change is the date that copies may keep; the second is the system's own, which nobody sets back.
    """
    try:
        statuses = [file.stat() for file in (files_below(path) if path.is_dir() else [path])]
    except (OSError, InputError):
        return 0, 0, 0
    modified = max((status.st_mtime_ns for status in statuses), default=0)
    changed = max((status.st_ctime_ns for status in statuses), default=0)
    return sum(status.st_size for status in statuses), modified, changed


def stamp_from(numbers: Sequence[int]) -> Stamp:
    """A stamp as JSON gives it back."""
    size, modified, changed = numbers
    return size, modified, changed


def require_unchanged(path: Path, stamp: Stamp) -> None:
    """Refuses a file that has changed since its stamp was taken: what was read of it may be of either content.

    Raises:
        InputError: it has.
    """
    if stamp_of(path) != stamp:
        raise InputError(f"{path}: has changed since this command began; start it again")
