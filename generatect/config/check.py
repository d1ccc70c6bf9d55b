"""Checks a composed configuration before anything is built from it.

The constructor is the schema: a mapping with `_target_` must name something from the allow-list, and its other keys
must be arguments of that callable with values of the annotated types. A typo, a string where a number belongs or a
foreign target is one line, seconds before a model would have been built.
"""

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from beartype import BeartypeConf
from beartype.door import is_bearable
from hydra.utils import get_object

from generatect.errors import InputError

# A configuration can name any callable of the process; only these belong in ours.
ALLOWED_TARGETS = (
    "generatect.",
    "lightning.Trainer",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
    "lightning.pytorch.strategies.",
    "torch.optim.",
)
HOMES = ("generatect.", "lightning.pytorch.", "torch.optim.")
"""Where what a target names must be defined."""
_RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
# An int where a float is asked for is fine (PEP 484); YAML writes 1 for 1.0.
_NUMERIC_TOWER = BeartypeConf(is_pep484_tower=True)


def did_you_mean(name: str, known: list[str]) -> str:
    """Returns a hint: the closest of `known`, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"


def check_config(node: Any, where: str = "") -> None:
    """Checks every mapping with a `_target_` below `node`, a plain container.

    Raises:
        InputError: a target outside the allow-list, an unknown argument, or a value of the wrong type.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            check_config(value, f"{where}.{key}" if where else str(key))
        if "_target_" in node:
            function = _allowed(node["_target_"], where)
            check_arguments(function, {k: v for k, v in node.items() if k not in _RESERVED}, where)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            check_config(value, f"{where}[{index}]")


def check_arguments(function: Callable, arguments: Mapping[str, Any], where: str = "") -> None:
    """Checks names and plain values of keyword `arguments` against the signature of `function`."""
    parameters = inspect.signature(function).parameters
    takes_any_keyword = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    hints = _type_hints(function)
    prefix = f"{where}." if where else ""
    for name, value in arguments.items():
        if name not in parameters and not takes_any_keyword:
            raise InputError(f"{prefix}{name}: no such setting, {did_you_mean(name, list(parameters))}")
        hint = hints.get(name)
        if _is_plain(value) and hint is not None and not _fits(value, hint):
            raise InputError(f"{prefix}{name}: {value!r} is not of the expected type {_readable(hint)}")


def parameters_of(target: Any) -> list[str]:
    """Arguments of what an allowed `_target_` names.

    Raises:
        InputError: it is not allowed, or not there.
    """
    return list(inspect.signature(_allowed(target, "")).parameters)


def _allowed(target: Any, where: str) -> Callable:
    if not isinstance(target, str) or not target.startswith(ALLOWED_TARGETS):
        raise InputError(
            f"{where}._target_: {target!r} is not allowed; targets start with {', '.join(ALLOWED_TARGETS)}"
        )
    try:
        found = get_object(target)
    except Exception as error:  # hydra wraps whatever the import raised
        raise InputError(f"{where}._target_: {target!r} cannot be imported ({' '.join(str(error).split())})") from error
    home = f"{getattr(found, '__module__', None)}."
    if not callable(found) or not home.startswith(HOMES):  # "generatect.files.os.remove" reaches through a module
        raise InputError(f"{where}._target_: {target!r} is not allowed; it is no class or function of that package")
    return found


def _type_hints(function: Callable) -> dict[str, Any]:
    constructor = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(constructor)
    except (NameError, TypeError):  # a third-party annotation that only type checkers can read
        return {}


def _is_plain(value: Any) -> bool:
    """A value that stays what it is; a mapping with `_target_` becomes an object of a type only building can tell."""
    if isinstance(value, Mapping):
        return "_target_" not in value
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return True


def _fits(value: Any, hint: Any) -> bool:
    options = typing.get_args(hint) or (hint,)
    if isinstance(value, bool):  # bool is an int to Python, not to a reader of YAML
        return any(option is bool or option in (Any, object, True, False) for option in options)
    if not isinstance(value, list):
        return _is(value, hint)
    if not (_is([], hint) or _is((), hint)):
        return _is(tuple(value), hint)  # of fixed length
    return all(_is([item], hint) or _is((item,), hint) for item in value)  # beartype itself looks at one item alone


def _is(value: Any, hint: Any) -> bool:
    return is_bearable(value, hint, conf=_NUMERIC_TOWER)


def _readable(hint: Any) -> str:
    return getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")
