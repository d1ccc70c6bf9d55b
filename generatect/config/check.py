"""Checks a composed configuration before anything is built from it.

The constructor is the schema: a mapping with `_target_` must name something from the allow-list, and its other keys
must be arguments of that callable with values of the annotated types and in range. A typo, a string where a number
belongs or a foreign target is one line, seconds before a model would have been built.
"""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from beartype import BeartypeConf
from beartype.door import is_bearable

from generatect.config.ranges import check_range, check_ranges
from generatect.config.source import hints_in_source
from generatect.config.targets import allowed_target, check_name, type_hints
from generatect.errors import InputError

_RESERVED = {"_target_", "_partial_", "_recursive_", "_convert_"}
# An int where a float is asked for is fine (PEP 484); YAML writes 1 for 1.0.
_NUMERIC_TOWER = BeartypeConf(is_pep484_tower=True)


def did_you_mean(name: str, known: list[str]) -> str:
    """Returns a hint: the closest of `known`, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"


def check_config(node: Any, where: str = "") -> None:
    """Checks every mapping with a `_target_` below `node`, a plain container.

    Raises:
        InputError: a target outside the allow-list, an unknown argument, or a value of the wrong type or out of range.
    """
    for key, target, arguments in _calls(node, where):
        check_arguments(allowed_target(target, key), arguments, key)


def check_config_in_source(node: Any, where: str = "") -> None:
    """As `check_config`, but without importing anything: as far as the sources of our own classes tell.

    Raises:
        InputError: as there.
    """
    for key, target, arguments in _calls(node, where):
        check_arguments_in_source(check_name(target, key), arguments, key)
    check_ranges(node, where)


def check_arguments(function: Callable, arguments: Mapping[str, Any], where: str = "") -> None:
    """Checks names and plain values of keyword `arguments` against the signature of `function`, and their ranges.

    Raises:
        InputError: an unknown argument, a value of the wrong type, or one out of its range.
    """
    parameters = inspect.signature(function).parameters
    takes_any_keyword = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    _check(arguments, None if takes_any_keyword else list(parameters), type_hints(function), where)


def check_arguments_in_source(target: str, arguments: Mapping[str, Any], where: str = "") -> None:
    """As `check_arguments`, for what a dotted name stands for, from its source.

    Raises:
        InputError: as there.
    """
    hints = hints_in_source(target)
    _check(arguments, None if hints is None else list(hints), hints or {}, where)


def _calls(node: Any, where: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Dotted key, target and arguments of everything below `node` that is to be called, the innermost first."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _calls(value, f"{where}.{key}" if where else str(key))
        if "_target_" in node:
            if "_args_" in node:
                raise InputError(f"{where}._args_: arguments without a name cannot be checked; name them")
            yield where, node["_target_"], {key: value for key, value in node.items() if key not in _RESERVED}
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _calls(value, f"{where}[{index}]")


def _check(arguments: Mapping[str, Any], names: list[str] | None, hints: Mapping[str, Any], where: str) -> None:
    prefix = f"{where}." if where else ""
    for name, value in arguments.items():
        if names is not None and name not in names:
            raise InputError(f"{prefix}{name}: no such setting, {did_you_mean(name, names)}")
        hint = hints.get(name)
        if _is_plain(value) and hint is not None and not fits(value, hint):
            advice = f"; write [{value}]" if isinstance(value, str) and fits([value], hint) else ""
            raise InputError(f"{prefix}{name}: {value!r} is not of the expected type {_readable(hint)}{advice}")
        check_range(name, value, where)


def _is_plain(value: Any) -> bool:
    """A value that stays what it is; a mapping with `_target_` becomes an object of a type only building can tell."""
    if isinstance(value, Mapping):
        return "_target_" not in value
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return True


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of the annotated type, as a reader of YAML sees it: true is no number."""
    is_choice = typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Literal)
    options = typing.get_args(hint) if is_choice else (hint,)
    if isinstance(value, bool):  # bool is an int to Python, not to a reader of YAML
        return any(option is bool or option in (Any, object, True, False) for option in options)
    if isinstance(value, str) and typing.get_origin(hint) is not typing.Literal:
        # a str is a Sequence[str] to Python: as many texts as it has letters
        return any(_is(value, option) for option in options if typing.get_origin(option) is not Sequence)
    if not isinstance(value, list):
        return _is(value, hint)
    if not (_is([], hint) or _is((), hint)):
        return _is(tuple(value), hint)  # of fixed length
    return all(_is([item], hint) or _is((item,), hint) for item in value)  # beartype itself looks at one item alone


def _is(value: Any, hint: Any) -> bool:
    return is_bearable(value, hint, conf=_NUMERIC_TOWER)


def _readable(hint: Any) -> str:
    return getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")
