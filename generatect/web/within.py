"""Files of others, opened with care: links may not lead out of a folder, and nothing is waited for."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def is_within(path: Path, root: Path) -> bool:
    """Whether a path exists and, links followed, lies in a folder."""
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # missing, no possible name, links in a circle
        return False


def is_file_within(path: Path, root: Path) -> bool:
    """Whether a path is a regular file and, links followed, lies in a folder."""
    try:
        return is_within(path, root) and path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


def leads_out(folder: Path, root: Path) -> bool:
    """Whether a link below a folder, or below a folder that is linked there, leads out of another folder."""
    waiting, entered = [folder], {folder.resolve()}
    while waiting:
        for parent, folders, names in os.walk(waiting.pop()):
            links = [link for name in folders + names if (link := Path(parent, name)).is_symlink() and link.exists()]
            if not all(is_within(link, root) for link in links):
                return True
            targets = {link.resolve() for link in links if link.is_dir()} - entered
            entered |= targets
            waiting += targets
    return False


def open_file(path: Path) -> BinaryIO:
    """Opens a regular file to read; others are refused without waiting, as opening a FIFO would.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return os.fdopen(descriptor, "rb")
