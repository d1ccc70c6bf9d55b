"""From the words of a shell to what Hydra reads: a path or a prompt is taken as it stands, whatever is in it.

A shell takes the quotes away, and Hydra's grammar then reads brackets, commas, `=`, `#`, `~` and letters beyond ASCII
as syntax. A browser calls a second download `scan (1).nii.gz`.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from generatect.config.check import fits
from generatect.config.resolvers import config_folder
from generatect.errors import InputError

FREE_TEXT = ("prompt",)
"""Settings whose value is prose: no sweep over a list of them, and no `${…}` in them."""

_SETTING = re.compile(r"\+{0,2}[A-Za-z_][\w./@:-]*=|~[A-Za-z_]")
_QUOTED = re.compile(r"""(['"])((?!\1)[^\\]|\\.)*\1|null""", re.DOTALL)
_MULTIRUN = ("-m", "--multirun", "hydra.mode=MULTIRUN")


def read_words(words: Sequence[str], hints: Mapping[str, Any]) -> list[str]:
    """Returns the words as Hydra takes them: settings first, then options, values of text quoted where need be.

    Args:
        words: of the command line, without the program.
        hints: the command's settings with the types that they take, in order.

    Raises:
        InputError: a word that is neither a setting nor one of Hydra's options.
    """
    settings = [word for word in words if is_setting(word)]
    rest = [word for word in words if not is_setting(word)]
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # argparse would print its usage, of 14 lines
    options, unknown = parser.parse_known_args(rest)
    for word in [*unknown, *options.overrides]:
        raise InputError(_unreadable(word, hints))
    sweeps = any(word in _MULTIRUN for word in words)
    return [*(as_it_stands(word, hints, sweeps) for word in settings), *rest]


def is_setting(word: str) -> bool:
    """Whether a word is `key=value`, or takes a key away (`~key`), and no file name or sentence."""
    return _SETTING.match(word) is not None


def as_it_stands(word: str, hints: Mapping[str, Any], sweeps: bool = False) -> str:
    """Quotes the value of a setting that takes text where Hydra would read anything else than this text in it.

    A value that somebody has quoted already stays as it is, and so do lists, mappings, `${…}` and, in a sweep, what
    the jobs are to have.

    Args:
        word: `key=value`.
        hints: see `read_words`. Of settings within others nothing is known yet: they are taken as text where Hydra can
            read nothing in them.
        sweeps: whether commas part the jobs of a sweep.
    """
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not equals or _QUOTED.fullmatch(value):
        return word
    if name in FREE_TEXT:
        return f"{key}={quoted(value)}"
    override, is_nested = _read(word), name not in hints and "." in name
    hint = str if is_nested else hints.get(name)
    if hint is None or not fits(value, hint) or _may_be_list(value, hint, is_nested):
        return word
    if override is None:
        return word if sweeps and "," in value else f"{key}={_in_quotes(value)}"
    read = override.value()
    if isinstance(read, ChoiceSweep) and read.simple_form:
        is_text = not sweeps and (not is_nested or "/" in value)
    elif override.is_sweep_override() or is_nested:
        is_text = False
    else:
        is_text = not fits(read, hint) or (isinstance(read, str) and read != value)
    return f"{key}={_in_quotes(value)}" if is_text else word


def quoted(value: str) -> str:
    """A text as one value in Hydra's grammar, whatever is in it."""
    return _in_quotes(value).replace("${", r"\${")  # which OmegaConf reads as a plain ${


def _in_quotes(value: str) -> str:
    # Hydra reads \' as a quote and, before a quote, \\ as a backslash.
    trailing = value[len(value.rstrip("\\")) :]
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value.removesuffix(trailing)) + trailing * 2
    return f"'{escaped}'"


def _read(word: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def _may_be_list(value: str, hint: Any, is_nested: bool) -> bool:
    return value.startswith(("[", "{")) and (is_nested or fits([], hint) or fits({}, hint))


def _unreadable(word: str, hints: Mapping[str, Any]) -> str:
    """What is wrong with a word that is no setting, and what was probably meant."""
    name, equals, value = word.lstrip("-").partition("=")
    if word.startswith("-"):
        known = name in hints or "." in name
        meant = f"did you mean {name}={_shown(value) if equals else '…'}?" if known else "--help lists them"
        return f"{word}: settings are written without dashes, as key=value; {meant}"
    if word in hints:
        return f"{word}: expected key=value; did you mean {word}=…?"
    group = next((path.parent.name for path in sorted(config_folder().glob(f"*/{_literal(word)}.yaml"))), None)
    if group in hints:
        return f"{word}: expected key=value; did you mean {group}={word}?"
    first = next(iter(hints), None)
    if first is not None and fits("", hints[first]):
        return f"{word}: expected key=value; did you mean {first}={_shown(word)}?"
    return f"{word}: expected key=value; --help lists the settings"


def _literal(word: str) -> str:
    return word if re.fullmatch(r"\w+", word) else "-"


def _shown(value: str) -> str:
    """A value as one would type it."""
    plain = shlex.quote(value)
    return f'"{value}"' if plain != value and not re.search(r'["$`\\!]', value) else plain


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message}; --hydra-help lists the options")
