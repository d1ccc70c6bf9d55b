"""The one place where a pickle is opened: tensors and plain values come out, and nothing that it says is executed."""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

_ASKED_FOR = re.compile(
    r"GLOBAL ([\w.]+)|Trying to (?:instantiate class|call reduce for unrecognized function) ([^\n]+)"
)


def load_tensors(path: Path) -> dict[str, Any]:
    """What `torch.save` wrote, read by memory map where the file's form allows it.

    Raises:
        ValueError: in one line, why the file is refused: it asks for code, is cut short, or is no dictionary.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file may be odd in ways that torch remarks on before it refuses it
        try:
            content = _load(path)
        except Exception as error:  # torch raises a dozen types for a damaged or hostile file
            raise ValueError(_reason(error)) from error
    if not isinstance(content, dict):
        raise ValueError(f"holds a {type(content).__name__}, expected a dictionary of tensors")
    return content


def damaged_part(path: Path) -> str | None:
    """What in a file of `torch.save` differs from its checksum; None where nothing does, and of the old form without.

    Raises:
        ValueError: it is cut short, or no such file.
    """
    if not _is_zip(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(f"cut short or damaged ({error})") from error
    return None if damaged is None else Path(damaged).name


def _is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))


def _reason(error: Exception) -> str:
    text = str(error)
    asked = _ASKED_FOR.search(text)
    if asked:
        name = (asked.group(1) or asked.group(2)).strip()
        return f"asks for {name}, which is code and not weights; nothing of it was executed"
    lines = text.rpartition("WeightsUnpickler error:")[2].split("\n")  # before it torch explains its settings
    detail = next((line.strip() for line in lines if line.strip()), type(error).__name__)
    return f"not a whole file of tensors: {detail[:160]}"
