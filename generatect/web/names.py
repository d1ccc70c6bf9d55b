r"""File names as text that any answer can hold, and back.

A name on disk is bytes. Those that are no UTF-8, as in archives of a Latin-1 system, reach Python as lone surrogates,
which neither JSON nor a caption can hold. Here they are spelled: "\xe9" is the byte E9. So is a backslash, and each
spelling means one name.
"""

import os
import re

_SPELLED = re.compile(r"\\x(5c|[89a-f][0-9a-f])")
_STRANGE = re.compile("[\\\\\udc80-\udcff]")


def spelled(name: str) -> str:
    """A name on disk as text."""
    return _STRANGE.sub(lambda strange: f"\\x{ord(strange[0]) & 0xFF:02x}", name)


def meant(text: str) -> str:
    """The name on disk that `spelled` made a text of.

    Raises:
        ValueError: it made no such text.
    """
    name = _SPELLED.sub(lambda match: _letter(int(match[1], 16)), text)
    if spelled(name) != text:
        raise ValueError(f"{text!r} spells no name")
    return name


def meant_in_folder(text: str) -> str:
    """As `meant`, for the name of something in a folder that is not hidden.

    Raises:
        ValueError: it leads elsewhere, or is hidden.
    """
    name = meant(text)
    if not name or name.startswith(".") or "\0" in name or os.sep in name or (os.altsep or os.sep) in name:
        raise ValueError(f"{text!r} is no name in a folder")
    return name


def _letter(byte: int) -> str:
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)  # as os.fsdecode has it
