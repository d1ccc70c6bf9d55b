"""One item of a shard: named arrays and texts as bytes that prove themselves, read without running anything.

LitData can store dictionaries by itself, but then chooses a way to store for each value: a text that happens to be the
name of a file becomes that file's content, and what it does not know becomes a pickle, which runs code when it is read.
So to LitData our items are plain bytes: a CRC-32, and behind it the safetensors format.
"""

from collections.abc import Mapping

import numpy as np
from isal import isal_zlib
from safetensors.numpy import load, save

TEXT = "text:"
"""Begins the name of an array that holds UTF-8."""
_CRC_BYTES = 4


class DamagedItem(ValueError):
    """The bytes are not what was written."""


def pack_item(arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> bytes:
    """Arrays and texts by name as bytes."""
    encoded = {f"{TEXT}{name}": np.array(bytearray(text.encode()), dtype=np.uint8) for name, text in texts.items()}
    content = save({**{name: np.ascontiguousarray(array) for name, array in arrays.items()}, **encoded})
    return isal_zlib.crc32(content).to_bytes(_CRC_BYTES, "little") + content


def unpack_item(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What `pack_item` was given.

    Raises:
        DamagedItem: the bytes are others.
    """
    content = data[_CRC_BYTES:]
    if len(data) < _CRC_BYTES or isal_zlib.crc32(content) != int.from_bytes(data[:_CRC_BYTES], "little"):
        raise DamagedItem(f"{len(data)} bytes whose checksum is not theirs")
    values = load(content)
    texts = {name.removeprefix(TEXT): bytes(values.pop(name)).decode() for name in list(values) if TEXT in name[:5]}
    return values, texts
