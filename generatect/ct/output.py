"""Where a file may be written."""

import os
from pathlib import Path

from generatect.errors import InputError


def output_path(path: str | Path, endings: tuple[str, ...]) -> Path:
    """The path of a file to write, once it is known that it can be.

    Raises:
        InputError: another ending, a folder in the file's place, or its own folder missing or not writable.
    """
    path = Path(path)
    if not path.name.endswith(endings):
        raise InputError(f"{path}: expected a name ending in {' or '.join(endings)}")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written; choose another")
    return path
