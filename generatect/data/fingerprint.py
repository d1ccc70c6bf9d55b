"""A hash that changes when a scan's content does, without reading all of it."""

import hashlib
from pathlib import Path

from generatect.ct.nifti import read_header
from generatect.ct.volume_files import files_below
from generatect.errors import InputError

SAMPLED_BYTES = 1 << 20
GZIP = b"\x1f\x8b"


def fingerprint(path: Path, how: str) -> str:
    """Hash of a scan's files and of how they are read.

    It covers the size and the first and last MiB of each file. Of a gzip-compressed volume that is enough: its last
    bytes are a checksum of all its content. Of any other file longer than what is read of it the dates count, too: the
    one that copies may keep, and the system's own, which changes with every writing. Names never count, so a renamed or
    moved folder keeps its caches, and a copied one those of compressed volumes.

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
    """Hash of one file's size, ends and, where those do not tell of all its content, dates."""
    status = path.stat()
    with path.open("rb") as file:
        head = file.read(SAMPLED_BYTES)
        file.seek(max(0, status.st_size - SAMPLED_BYTES))
        tail = file.read(SAMPLED_BYTES)
    is_covered = status.st_size <= 2 * SAMPLED_BYTES or (head.startswith(GZIP) and _ends_in_checksum_of_all(path, tail))
    dates = "" if is_covered else f"{status.st_mtime_ns} {status.st_ctime_ns}"
    digest = hashlib.sha256(f"{status.st_size} {dates} ".encode())
    digest.update(head)
    digest.update(tail)
    return digest.digest()


def _ends_in_checksum_of_all(path: Path, tail: bytes) -> bool:
    """Whether a gzip file's trailer is of all that the volume's header promises.

    A file may be of several gzip members, each with a trailer of its own; the last one then states fewer bytes.
    """
    try:
        grid = read_header(path, assume_axes="LPS")
    except InputError:
        return False
    return int.from_bytes(tail[-4:], "little") == (grid.offset + grid.num_bytes) % (1 << 32)
