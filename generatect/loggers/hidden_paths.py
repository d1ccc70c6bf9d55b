"""Settings without the paths in them, which name machines, users and sometimes patients."""

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

HIDDEN = "…"


def without_paths(node: Any) -> Any:
    """A copy of plain settings with every path replaced by "…"."""
    if isinstance(node, Mapping):
        return {key: without_paths(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [without_paths(value) for value in node]
    return HIDDEN if isinstance(node, str) and is_path(node) else node


def command_without_paths(arguments: list[str]) -> list[str]:
    """A command line whose `key=PATH` read `key=…`."""
    result = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        hidden = HIDDEN if is_path(value if equals else key) else None
        result.append(argument if hidden is None else f"{key}={hidden}" if equals else hidden)
    return result


def is_path(text: str) -> bool:
    """Whether a setting's value leads somewhere: absolute, from home, an address, or there on this disk.

    `google/t5-v1_1-base` and `base/ctvit` are names, unless a file is called so.
    """
    bare = text.strip("'\"[]").replace("\\'", "'")
    if bare.startswith(("/", "~", "./", "../")) or "://" in bare or PureWindowsPath(bare).is_absolute():
        return True
    return "/" in bare and Path(bare).exists()
