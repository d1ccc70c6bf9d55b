"""What a configuration may name by `_target_`.

A configuration can name any callable of the process, and Hydra calls it. Only classes, and functions that return an
object of ours, of a few packages belong in one; nothing is reached through a module, a class or a private name.
"""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from hydra.utils import get_object

from generatect.errors import InputError

ALLOWED = {
    "generatect.": "generatect.",
    "lightning.Trainer": "lightning.pytorch.trainer.",
    "lightning.pytorch.callbacks.": "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.": "lightning.pytorch.loggers.",
    "lightning.pytorch.strategies.": "lightning.pytorch.strategies.",
    "torch.optim.": "torch.optim.",
}
"""How a target may begin, and where what it names must then be defined."""
CLOSED = ("generatect.config.", "generatect.checkpoints.hub.")
"""Packages of ours that read command lines or speak with the network: no parts of a training."""
_DOTTED = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)


def check_name(target: Any, where: str = "") -> str:
    """Returns the target, if its name alone does not rule it out; nothing is imported.

    Raises:
        InputError: it does not begin as an allowed one, is no plain dotted name, or is private.
    """
    if (
        not isinstance(target, str)
        or not _DOTTED.fullmatch(target)
        or not target.startswith(tuple(ALLOWED))
        or target.startswith(CLOSED)
    ):
        raise InputError(
            f"{_key(where)}: {str(target)[:120]!r} is not allowed; targets are classes below {', '.join(ALLOWED)}"
        )
    return target


def allowed_target(target: Any, where: str = "") -> Callable:
    """Imports what an allowed target names.

    Raises:
        InputError: its name is not allowed, it is not there, or it is defined elsewhere than its name says.
    """
    name = check_name(target, where)
    try:
        found = get_object(name)
    except Exception as error:  # hydra wraps whatever the import raised
        reason = " ".join(str(error).split())
        raise InputError(f"{_key(where)}: {name!r} cannot be imported ({reason[:200]})") from error
    home = next(home for prefix, home in ALLOWED.items() if name.startswith(prefix))
    if not f"{getattr(found, '__module__', '')}.".startswith(home) or not _makes_an_object(found):
        raise InputError(f"{_key(where)}: {name!r} is not allowed; it is no class of that package")
    return found


def refuse_targets(node: Any, where: str) -> None:
    """Refuses what would be called, where plain values alone belong: in the description of a checkpoint.

    Args:
        node: of mappings, lists and plain values.
        where: the file, for the message.

    Raises:
        InputError: there is a `_target_` somewhere in it.
    """
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        if key == "_target_":
            raise InputError(f"{where}: wants {str(value)[:120]!r} called; nothing was, do not use this file")
        refuse_targets(value, where)


def type_hints(function: Callable) -> dict[str, Any]:
    """Annotations of a function's or of a constructor's arguments; empty where they cannot be evaluated."""
    constructor = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(constructor)
    except (NameError, TypeError):  # a third-party annotation that only type checkers can read
        return {}


def _makes_an_object(found: Any) -> bool:
    """A class, or a function that says it returns an object of some class; "." in a name is a way into another."""
    if inspect.isclass(found):
        return "." not in found.__qualname__
    if not inspect.isfunction(found) or "." in found.__qualname__:
        return False
    returned = type_hints(found).get("return")
    return inspect.isclass(returned) and returned.__module__ not in ("builtins", "pathlib")


def _key(where: str) -> str:
    return f"{where}._target_" if where else "_target_"
