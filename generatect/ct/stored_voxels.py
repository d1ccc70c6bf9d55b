"""The bytes of a NIfTI file: weighed against what its header declares, then read to the last one.

A compressed file is decompressed straight into the array that becomes the volume, and always to its end, so that
truncation and a wrong checksum are noticed. What a header declares is compared with the size on disk beforehand: a
file of a few bytes cannot make a machine reserve, or decode, gigabytes.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np
from isal import igzip, isal_zlib
from jaxtyping import Num

from generatect.ct.nifti_header import HEADER_BYTES, StoredGrid
from generatect.errors import InputError

IsalError = cast(type[Exception], isal_zlib.error)  # its stub calls it an instance
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 18
"""Small enough to stay in the processor's cache between decompression and its place in the array."""

MAX_DEFLATE_RATIO = 1032
"""No deflate stream expands further."""

MAX_PLAUSIBLE_RATIO = 50
"""CT shrinks to a half or a quarter, a mostly empty one to a tenth."""


@dataclass(frozen=True, eq=False)
class StoredFile:
    """An open NIfTI file.

    Attributes:
        path: named in errors.
        content: the file's bytes, decompressed.
        size: bytes on disk.
        stated_size: what the gzip trailer says the content's size is, modulo 2^32; None: not compressed.
    """

    path: Path
    content: BufferedIOBase
    size: int
    stated_size: int | None

    def header_block(self) -> bytes:
        """The bytes that hold the header."""
        return self.content.read(HEADER_BYTES)

    def require_plausible(self, grid: StoredGrid) -> None:
        """Refuses a header that declares what the file cannot hold, before anything is allocated or decoded.

        Raises:
            InputError: naming both sizes.
        """
        declared = grid.offset + grid.num_bytes
        if self.stated_size is None:
            if self.size < declared:
                raise InputError(
                    f"{self.path}: truncated: its header declares {declared} bytes, the file has {self.size}"
                )
            if self.size > declared:
                raise self._surplus(declared)
        elif declared > MAX_DEFLATE_RATIO * self.size:
            raise InputError(
                f"{self.path}: truncated: its header declares {declared} bytes, more than {self.size} compressed bytes "
                "can hold"
            )
        elif declared > MAX_PLAUSIBLE_RATIO * self.size and self.stated_size != declared % (1 << 32):
            raise InputError(
                f"{self.path}: its header declares {declared} bytes, its gzip trailer states {self.stated_size}, and "
                f"{self.size} compressed bytes are too few for either to be believed; expected a scan"
            )

    def voxels(self, grid: StoredGrid) -> Num[np.ndarray, "i j k"]:
        """All stored values, in Fortran order as in the file.

        Raises:
            InputError: the file holds more than its header declares.
            OSError, EOFError, IsalError: it is truncated or damaged; `open_stored` says so in one line.
        """
        self.content.seek(grid.offset)
        buffer = np.empty(grid.num_bytes, np.uint8)
        for start in range(0, buffer.size, CHUNK_BYTES):
            chunk = buffer.data[start : start + CHUNK_BYTES]
            if self.content.readinto(chunk) != len(chunk):
                raise EOFError
        if self.content.read(1):  # what follows the last voxel: here the decompressor compares the checksum
            raise self._surplus(grid.offset + grid.num_bytes)
        return buffer.view(grid.dtype).reshape(grid.shape[:3], order="F")

    def _surplus(self, declared: int) -> InputError:
        return InputError(
            f"{self.path}: holds more data than the {declared} bytes its header declares; expected one 3-D volume"
        )


@contextmanager
def open_stored(path: Path) -> Iterator[StoredFile]:
    """Opens a plain or gzip-compressed file, told apart by its first bytes and not by its name.

    Raises:
        InputError: the file cannot be opened, or what is read from it is truncated or damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise InputError(f"{path}: cannot be read (not a file); expected a .nii or .nii.gz file")
        with path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            is_gzip = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            stated_size = None
            if is_gzip:
                raw.seek(max(size - 4, 0))
                stated_size = int.from_bytes(raw.read(4), "little")
            raw.seek(0)
            with igzip.IGzipFile(fileobj=raw, mode="rb") if is_gzip else nullcontext(raw) as content:
                yield StoredFile(path, content, size, stated_size)
    except (OSError, EOFError, IsalError) as error:
        reason = getattr(error, "strerror", None) or (
            "truncated" if isinstance(error, EOFError) else "damaged: wrong checksum or compressed data"
        )
        raise InputError(f"{path}: cannot be read ({reason}); expected a whole .nii or .nii.gz file") from error
