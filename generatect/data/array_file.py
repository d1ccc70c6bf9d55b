"""One array in one file that proves itself, plane by plane.

The file is a `.npy` (`np.load` reads it, for it stops where the data ends) and behind it:

    uint32 × planes   CRC-32 of each plane along the leading axis
    uint32            bytes of the `.npy` header
    uint32            number of planes
    uint32            CRC-32 of the key, the header and all the numbers above
    8 bytes           MAGIC

So a file that is cut short, overwritten, or belongs to another key is known from its header and footer alone, and a
single slice of a large volume is checked without the others being read.
"""

import io
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from isal import isal_zlib
from numpy.lib import format as npy

MAGIC = b"CTplanes"
_TAIL = struct.Struct("<III8s")


class DamagedFile(ValueError):
    """The file is not what was written under this key."""


def write_array(path: Path, array: np.ndarray, key: str) -> None:
    """Writes an array with its checksums over whatever is at `path`.

    Args:
        path: the file.
        array: of anything but Python objects.
        key: what the file has to be read with.
    """
    array = np.asarray(array, order="C")
    assert not array.dtype.hasobject, "objects would have to be pickled"
    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
    table = np.array([isal_zlib.crc32(plane) for plane in _planes(array)], dtype="<u4").tobytes()
    num_header_bytes, num_planes = len(header.getvalue()), len(table) // 4
    checksum = _checksum(key, header.getvalue(), table, num_header_bytes, num_planes)
    with path.open("wb") as file:
        file.write(header.getvalue())
        file.write(array.data)
        file.write(table + _TAIL.pack(num_header_bytes, num_planes, checksum, MAGIC))


class ArrayFile:
    """An array on disk, mapped into memory, its planes not checked yet.

    Args:
        path: the file.
        key: what it was written with.

    Raises:
        OSError: no such file, or it cannot be read.
        DamagedFile: header or footer are not as they were written.
    """

    def __init__(self, path: Path, key: str) -> None:
        if not path.stat().st_size:
            raise DamagedFile(f"{path}: empty")  # and cannot be mapped
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        num_header_bytes, num_planes, checksum, magic = _TAIL.unpack(content[-_TAIL.size :].rjust(_TAIL.size, b"\0"))
        end = len(content) - _TAIL.size - 4 * num_planes
        header, table = content[:num_header_bytes], content[max(end, 0) : -_TAIL.size]
        if magic != MAGIC or checksum != _checksum(key, header, table, num_header_bytes, num_planes):
            raise DamagedFile(f"{path}: not what was written there")
        shape, _, dtype = _parse(header)
        count = int(np.prod(shape, dtype=np.int64))
        if num_header_bytes + count * dtype.itemsize != end:
            raise DamagedFile(f"{path}: more or less data than its header says")
        self._path, self._crcs = path, np.frombuffer(table, dtype="<u4")
        self._array = np.frombuffer(content, dtype, count, num_header_bytes).reshape(shape)

    @property
    def checksums(self) -> tuple[int, ...]:
        """CRC-32 of each plane, as it was written."""
        return tuple(self._crcs.tolist())

    def whole(self) -> np.ndarray:
        """The array, every plane checked; read-only, a view of the mapped file.

        Raises:
            DamagedFile: a plane is not what was written.
        """
        planes = _planes(self._array)
        for index in range(len(planes)):
            self._check(planes, index)
        return self._array

    def planes(self, indices: Sequence[int]) -> np.ndarray:
        """A copy of these planes along the leading axis, which alone are read and checked.

        Raises:
            DamagedFile: one of them is not what was written.
        """
        planes = _planes(self._array)
        for index in indices:
            self._check(planes, index)
        return planes[list(indices)]

    def _check(self, planes: np.ndarray, index: int) -> None:
        if isal_zlib.crc32(planes[index]) != self._crcs[index]:
            raise DamagedFile(f"{self._path}: plane {index} is not what was written there")


def _planes(array: np.ndarray) -> np.ndarray:
    """The array by planes; one of fewer than two axes is a single plane."""
    return array if array.ndim > 1 else array.reshape(1, array.size)


def _checksum(key: str, header: bytes, table: bytes, *numbers: int) -> int:
    return isal_zlib.crc32(b" ".join([key.encode(), header, table, *(b"%d" % number for number in numbers)]))


def _parse(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type; the bytes are known to be ours."""
    stream = io.BytesIO(header)
    npy.read_magic(stream)
    return npy.read_array_header_1_0(stream)
