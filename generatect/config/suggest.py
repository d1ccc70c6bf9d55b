"""Turns Hydra's complaints about the command line into one line with a suggestion."""

import difflib
import re
from collections.abc import Iterator
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from generatect.config.check import did_you_mean
from generatect.config.resolvers import config_folder, experiments_parent
from generatect.config.source import hints_in_source

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
        return f"{group}={choice}: no such choice, {did_you_mean(choice, choices(group))}"
    if isinstance(error, OverrideParseException):
        reason = str(error).splitlines()[0]
        return (
            f"{error.override}: cannot be read as key=value ({reason}); put a value with brackets or commas in quotes"
        )
    found = _COULD_NOT_OVERRIDE.match(str(error))
    if found is None:
        return None
    key = found[1]
    kept = [item for item in overrides if item.lstrip("+~").partition("=")[0] != key]
    known = _compose(config_name, kept)
    target = known.get(f"{key.rpartition('.')[0]}._target_")
    arguments = hints_in_source(target) if isinstance(target, str) else {}
    if arguments and key.rpartition(".")[2] in arguments:
        return f"{key}: has its default and is not in the configuration, to set it write +{key}=…"
    others = f"; +{key}=… if {target} has it" if arguments is None else ""
    return f"{key}: no such setting, {suggest(key, list(known))}{others}"


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


def _compose(config_name: str, overrides: list[str]) -> dict[str, Any]:
    """The configuration as it is without the faulty override, by dotted key."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        try:
            config = compose(config_name, overrides=overrides)
        except (HydraException, OmegaConfBaseException):  # a second mistake among the overrides
            config = compose(config_name)
    return dict(dotted(config))


def dotted(node: DictConfig) -> Iterator[tuple[str, Any]]:
    """Every dotted key of a configuration with its value, interpolations and ??? as they are written."""
    stack = [("", OmegaConf.to_container(node, resolve=False))]
    while stack:
        prefix, content = stack.pop(0)
        for key, value in content.items():  # type: ignore[union-attr]
            yield f"{prefix}{key}", value
            if isinstance(value, dict):
                stack.append((f"{prefix}{key}.", value))
