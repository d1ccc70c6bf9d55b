"""A hash that changes when a scan's content does, without reading all of it."""

import hashlib
from pathlib import Path

from generatect.ct.volume_files import files_below
from generatect.errors import InputError

SAMPLED_BYTES = 1 << 20
GZIP = b"\x1f\x8b"


def fingerprint(path: Path, how: str) -> str:
    """Hash of a scan's files and of how they are read.

    It covers the size and the first and last MiB of each file, not name or date: a copied or moved folder keeps its
    caches, and a file rewritten within the clock's resolution does not pass for the old one. A gzip file ends in the
    checksum of all its content, so any change shows; another file has none, and if it is longer than what is read of
    it, its date counts too.

    Args:
        path: a file, or the folder of a DICOM series.
        how: whatever else the volume depends on.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256(how.encode())
    try:
        for file in files_below(path) if path.is_dir() else [path]:
            digest.update(_sample(file))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a scan") from error
    return digest.hexdigest()


def _sample(path: Path) -> bytes:
    """Hash of one file's size, ends and, where those do not tell of all its content, date."""
    status = path.stat()
    with path.open("rb") as file:
        head = file.read(SAMPLED_BYTES)
        file.seek(max(0, status.st_size - SAMPLED_BYTES))
        tail = file.read(SAMPLED_BYTES)
    is_covered = head.startswith(GZIP) or status.st_size <= 2 * SAMPLED_BYTES
    date = "" if is_covered else status.st_mtime_ns
    digest = hashlib.sha256(f"{status.st_size} {date} ".encode())
    digest.update(head)
    digest.update(tail)
    return digest.digest()
