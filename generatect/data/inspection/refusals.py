"""Which check a reader's refusal belongs to, by the words of its one line."""

import os
from pathlib import Path

from generatect.config.advice import as_settings
from generatect.errors import InputError

KINDS = (
    ("gantry tilt", "sheared"),
    ("truncated", "damaged-file"),
    ("damaged", "damaged-file"),
    ("checksum", "damaged-file"),
    ("every voxel is", "constant"),
    ("NaN", "unreadable"),
    ("HU", "hu-undecided"),
)
"""Words of the refusals, and the check; the first that fits."""


def kind_of_refusal(reason: str, otherwise: str = "unreadable") -> str:
    """Code of the check that a refusal belongs to.

    Args:
        reason: of `without_path`.
        otherwise: where no words are known.
    """
    return next((code for words, code in KINDS if words in reason), otherwise)


def without_path(error: InputError, path: Path) -> str:
    """An error's line without the path that it begins with, or the folder that it names: they may name a patient.

    What it advises is written as the setting of an archive.
    """
    line = str(error).removeprefix(f"{path}: ").replace(f"{path}{os.sep}", "").replace(str(path), path.name)
    return as_settings(line, ("data.hu_policy", "data.assume_axes"))
