"""Which content of a file is meant: what was shown of an earlier one is not shown of a later one."""

import hashlib
import os
from pathlib import Path

from generatect.ct.volume_files import MAX_SLICES, files_below


def state_of(path: Path) -> str:
    """Letters that change whenever a file, or any file in a folder, is replaced or written to.

    Taken from sizes and times, the time of the last change among them, which no copying tool sets back.

    Raises:
        OSError: it has been removed.
        InputError: a folder of more files than a DICOM series has.
    """
    files = files_below(path, MAX_SLICES) if path.is_dir() else [path]
    found = [(os.fsencode(file), _numbers(file.stat())) for file in files]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def _numbers(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
