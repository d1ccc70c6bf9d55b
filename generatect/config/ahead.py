"""Looks at what Hydra itself is about to do with a command line, before it does it.

Hydra calls what `hydra.callbacks` and its logging configuration name before any check of ours, and a sweep that cannot
work would be found out one job at a time.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from generatect.config.resolvers import config_folder
from generatect.config.suggest import dotted
from generatect.config.sweep import SHARD_KEY, jobs_folder, refuse_other_sweep
from generatect.config.template_names import refuse_words_of_template
from generatect.errors import InputError

HYDRA_MAY_CALL = ("hydra._internal.core_plugins.", "hydra_plugins.", "hydra.experimental.callbacks.")
LOGGING_MAY_CALL = ("logging.", "colorlog.")


@dataclass(frozen=True)
class Ahead:
    """What a command is about to do.

    Attributes:
        launcher: class that starts the jobs.
        sweep_folder: folder of the jobs and their summary; None for a single run, or a command without output.
        config: what a single run will be given; None for a sweep, which has a configuration for each job.
        shared: plain values that all jobs of a sweep share; None for a single run, and where the jobs differ in a value
            that the command needs.
    """

    launcher: str
    sweep_folder: Path | None
    config: DictConfig | None
    shared: dict[str, Any] | None

    @property
    def uses_processes(self) -> bool:
        """Whether the jobs run in processes other than this one."""
        return self.launcher != BasicLauncher.__name__


def look_ahead(config_name: str, arguments: list[str]) -> Ahead | None:
    """Composes what all jobs share and checks what Hydra would call; None for a command that only shows something.

    Args:
        config_name: the entry point's configuration.
        arguments: the command line without the program.

    Raises:
        InputError: a sweep that cannot work, or a class that Hydra must not call.
        HydraException: the configuration does not compose.
    """
    parser = get_args_parser()
    options = parser.parse_args(arguments)
    if options.help or options.hydra_help or options.cfg or options.info or options.shell_completion:
        return None
    if options.config_name or options.config_path:
        raise InputError(
            f"--config-name, --config-path: generatect.{config_name} has its own; use --config-dir for yours"
        )
    overrides = OverridesParser.create().parse_overrides(options.overrides)
    for override in overrides:
        _refuse_impossible(override)
    if config_name == "train":
        refuse_words_of_template(options.overrides)
    node = _compose(config_name, [item for item in overrides if not item.is_sweep_override()], options.config_dir)
    _check_hydra(node.hydra)
    is_sweep, folder = options.multirun or node.hydra.mode == RunMode.MULTIRUN, None
    jobs = _jobs(node.hydra.sweeper, options.overrides) if is_sweep else []
    if jobs:  # a key that does not exist is found before Hydra makes folders for its jobs
        _compose(config_name, OverridesParser.create().parse_overrides(jobs[0]), options.config_dir)
    if is_sweep and isinstance(node.get("output"), str):
        folder = jobs_folder(node.output, _sweeps_shards(overrides))
        if "resume" in node:
            refuse_other_sweep(folder, jobs)
    launcher = node.hydra.launcher["_target_"].rpartition(".")[2]
    with open_dict(node):
        del node["hydra"]
    shared = None
    if is_sweep and all(value != "???" for _, value in dotted(node)):
        shared = cast(dict, OmegaConf.to_container(node, resolve=True))
    return Ahead(launcher, folder, None if is_sweep else node, shared)


def _jobs(sweeper: DictConfig, arguments: list[str]) -> list[list[str]]:
    """Overrides of each job, as Hydra's own sweeper makes them; none for another sweeper, whose jobs are its affair."""
    if sweeper["_target_"].rpartition(".")[2] != BasicSweeper.__name__:
        return []
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*params, *arguments])
    jobs = BasicSweeper.split_arguments(overrides, None)[0]
    return [[item for item in job if not item.lstrip("+~").startswith(("hydra.", "hydra/"))] for job in jobs]


def _sweeps_shards(overrides: list[Override]) -> bool:
    """Whether the jobs are shards of one dataset.

    Raises:
        InputError: they would differ in something else, too, and fill one folder with unlike volumes.
    """
    swept = [override for override in overrides if override.is_sweep_override()]
    if not any(override.key_or_group == SHARD_KEY for override in swept):
        return False
    if len(swept) > 1:
        other = next(override for override in swept if override.key_or_group != SHARD_KEY)
        raise InputError(f"{other.input_line}: jobs over {SHARD_KEY} fill one dataset; sweep nothing else beside it")
    return True


def _refuse_impossible(override: Override) -> None:
    key, line = override.get_key_element(), override.input_line
    is_launched = "LOCAL_RANK" in os.environ  # by Lightning, which starts the other processes with such settings
    if key in ("hydra.run.dir", "hydra.output_subdir") and not is_launched:
        raise InputError(f"{line}: a command writes into its output alone; use output=FOLDER")
    if override.is_sweep_override() and key == "output":
        raise InputError(f"{line}: a sweep has one output, with a folder for each job")
    if override.key_or_group == "experiments" and isinstance(override.value(), Glob):
        raise InputError(
            f"{line}: Hydra finds no recipe by a pattern and would run nothing; name each: experiments=A,B"
        )


def _compose(config_name: str, overrides: list[Override], config_dir: str | None) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        if config_dir is not None:
            search_path = GlobalHydra.instance().config_loader().get_search_path()
            search_path.prepend(provider="command-line", path=f"file://{Path(config_dir).resolve()}")
        return compose(config_name, [item.input_line or "" for item in overrides], return_hydra_config=True)


def _check_hydra(node: DictConfig) -> None:
    plain = OmegaConf.to_container(node, resolve=False)
    assert isinstance(plain, dict)
    for part in ("callbacks", "launcher", "sweeper"):
        for where, name in _named(plain.get(part), f"hydra.{part}", {"_target_"}):
            if not str(name).startswith(HYDRA_MAY_CALL):
                raise InputError(f"{where}: {name!r} is not allowed; Hydra's own plugins are")
    for part in ("job_logging", "hydra_logging"):
        for where, name in _named(plain.get(part), f"hydra.{part}", {"_target_", "()", "class"}):
            if not str(name).startswith(LOGGING_MAY_CALL):
                raise InputError(f"{where}: {name!r} is not allowed; classes of Python's logging are")


def _named(node: Any, where: str, keys: set[str]) -> list[tuple[str, Any]]:
    """(dotted key, value) of every entry below `node` that names something to be called."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, value in items:
        if key in keys:
            found.append((f"{where}.{key}", value))
        found += _named(value, f"{where}.{key}", keys)
    return found
