"""Turns Hydra's complaints about the command line into one line with a suggestion."""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from generatect.config.check import did_you_mean
from generatect.config.resolvers import config_folder, experiments_parent
from generatect.config.source import hints_in_source
from generatect.config.template_names import CHOICES, instead_of

PLUGINS = ("joblib", "submitit_local", "submitit_slurm")
"""Launchers that come with packages of their own."""
_COULD_NOT_OVERRIDE = re.compile(r"Could not override '([^'@]*)")


def explain(error: HydraException, config_name: str, overrides: list[str]) -> str | None:
    """One line about a key or choice that does not exist; None about anything else.

    Args:
        error: what composing `config_name` with `overrides` raised.
        config_name: the entry point's configuration.
        overrides: the command line.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.partition("/")
        if group == "hydra":
            return _no_plugin(error.missing_cfg_file)
        said = f"{group}={choice}: no such choice, {did_you_mean(choice, choices(group))}"
        return f"{said}; {CHOICES[group, choice]}" if (group, choice) in CHOICES else said
    if isinstance(error, OverrideParseException):
        reason = str(error).splitlines()[0]
        return (
            f"{error.override}: cannot be read as key=value ({reason}); put each value that is a text in quotes of its "
            "own, KEY=\"['a (1)','b']\""
        )
    found = _COULD_NOT_OVERRIDE.match(str(error))
    if found is None:
        return None
    key = found[1]
    instead = instead_of(key) if config_name == "train" else None
    if instead is not None:
        return f"{key}: no such setting; use {instead}"
    kept = [item for item in overrides if item.lstrip("+~").partition("=")[0] != key]
    known, chosen = _compose(config_name, kept)
    others = [choice for choice in choices(key.partition(".")[0]) if key in _settings_of(key.partition(".")[0], choice)]
    if others:
        return _of_another_choice(key, str(chosen.get(key.partition(".")[0])), others)
    target = known.get(f"{key.rpartition('.')[0]}._target_")
    arguments = hints_in_source(target) if isinstance(target, str) else {}
    if arguments and key.rpartition(".")[2] in arguments:
        return f"{key}: has its default and is not in the configuration, to set it write +{key}=…"
    perhaps = f"; +{key}=… if {target} has it" if arguments is None else ""
    return f"{key}: no such setting, {suggest(key, list(known))}{perhaps}"


def _of_another_choice(key: str, chosen: str, others: list[str], max_listed: int = 4) -> str:
    """A key that the group's choice lacks and other choices have."""
    group = key.partition(".")[0]
    listed = f"{', '.join(others[:max_listed])}{', …' if len(others) > max_listed else ''}"
    if group == "callbacks":  # of which one takes several
        return f"{key}: not among the callbacks chosen; add callbacks=[default,{others[0]}]"
    more = f" ({listed} have it)" if len(others) > 1 else ""
    return f"{key}: {group}={chosen} has no such setting; add {group}={_likeliest(others)}{more}"


def _likeliest(others: list[str]) -> str:
    """Of several choices that would do: one's own data rather than somebody's archive."""
    return "folder" if "folder" in others else others[0]


def _settings_of(group: str, choice: str) -> set[str]:
    """Dotted keys that a choice of a group brings, as far as its own file says."""
    path = config_folder() / group / f"{choice}.yaml"
    node = OmegaConf.load(path) if path.is_file() else OmegaConf.create({})
    if not isinstance(node, DictConfig) or "@package" in path.read_text(encoding="utf-8").partition("\n")[0]:
        return set()
    return {f"{group}.{key}" for key, _ in dotted(node)}


def _no_plugin(name: str) -> str:
    group, _, choice = name.rpartition("/")
    if choice in PLUGINS:
        return f"{group}={choice}: its plugin is not installed; pip install 'generatect[sweeps]'"
    return f"{group}={choice}: no such choice, known: basic, {', '.join(PLUGINS)}"


def choices(group: str) -> list[str]:
    """Names that `group=` takes."""
    folder = (experiments_parent() if group == "experiments" else config_folder()) / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def suggest(key: str, known: list[str]) -> str:
    """The known dotted key most like `key`: alike as a whole, or ending alike; failing that, its known siblings."""
    last = key.rpartition(".")[2]
    parent = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    for candidates in (siblings, known):
        if difflib.get_close_matches(key, candidates, n=1):
            return did_you_mean(key, candidates)
    endings = difflib.get_close_matches(last, [name.rpartition(".")[2] for name in known], n=1)
    if endings:
        return f"did you mean '{next(name for name in known if name.rpartition('.')[2] == endings[0])}'?"
    return f"known: {', '.join(sorted(siblings or [name for name in known if '.' not in name]))}"


def _compose(config_name: str, overrides: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration as it is without the faulty override, by dotted key, and what each group's choice is."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        try:
            config = compose(config_name, overrides=overrides, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):  # a second mistake among the overrides
            config = compose(config_name, return_hydra_config=True)
    chosen = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return dict(dotted(config)), chosen


def dotted(node: DictConfig) -> Iterator[tuple[str, Any]]:
    """Every dotted key of a configuration with its value, interpolations and ??? as they are written."""
    stack = [("", OmegaConf.to_container(node, resolve=False))]
    while stack:
        prefix, content = stack.pop(0)
        for key, value in content.items():  # type: ignore[union-attr]
            yield f"{prefix}{key}", value
            if isinstance(value, dict):
                stack.append((f"{prefix}{key}.", value))
