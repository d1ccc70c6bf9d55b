"""What Hydra calls for a composed configuration: checks it, then calls the command's function with plain values."""

import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from generatect.config.advice import as_settings
from generatect.config.check import check_arguments, check_config
from generatect.config.environment import full_error
from generatect.config.one_line import is_user_error, one_line
from generatect.config.quiet import quiet
from generatect.config.resolvers import register_resolvers
from generatect.config.suggest import dotted
from generatect.config.sweep import (
    DONE,
    FAILED,
    INTERRUPTED,
    JobRecord,
    fills_one_output,
    jobs_folder,
    read_record,
    write_summary,
)
from generatect.errors import InputError
from generatect.signals import Interrupted, caught

SLURM_LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
SIGNALLED = 128
"""Exit codes from here on say that a signal ended the run, as a shell reports it."""


class Job:
    """A command's function as Hydra's task; a launcher may pickle it and call it in another process.

    Args:
        command: name of the command, for messages.
        function: takes the configuration's values as keyword arguments; its signature is their schema.
        full_error: the user's `HYDRA_FULL_ERROR`; Hydra itself is run with another.
    """

    def __init__(self, command: str, function: Callable[..., None], full_error: str | None) -> None:
        self.command, self.function, self.full_error = command, function, full_error
        self.failed = False

    def __getstate__(self) -> dict[str, Any]:
        """The function by name: in another process the module that was run is not `__main__`."""
        module = self.function.__module__
        if module == "__main__":
            module = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
        return {**self.__dict__, "function": (module, self.function.__qualname__)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Prepares the other process as `run_command` prepares its own."""
        module, name = state.pop("function")
        self.__dict__.update(state, function=getattr(importlib.import_module(module), name))
        register_resolvers()
        quiet()

    def __call__(self, config: DictConfig) -> None:
        """Runs the job; what the user can mend is said in one line and is no reason to end a sweep."""
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            self._run_in_sweep(config)
        else:
            self._attempt(config)

    def _run_in_sweep(self, config: DictConfig) -> None:
        number, overrides = HydraConfig.get().job.num, list(HydraConfig.get().overrides.task)
        output, resumes = config.get("output"), "resume" in config
        if not isinstance(output, str):
            self._attempt(config)
            return
        folder = jobs_folder(output, fills_one_output(overrides)) / str(number)
        before = read_record(folder) if resumes else None
        if before is not None and not before.is_same_job(overrides):
            assert not before.has_trained, "`refuse_other_sweep` has not looked"
            before = None
        steps = config.get("steps")
        if before is not None and before.status == DONE and before.steps == steps and not config.get("fresh"):
            if _speaks():
                print(f"job {number}: done before, skipped; fresh=true or another output would run it anew")
                write_summary(folder.parent)
            return
        if not _speaks():
            self._attempt(config)
            return
        seconds = 0.0 if before is None else before.seconds
        record = JobRecord(number, overrides, steps=steps if isinstance(steps, int) else None, seconds=seconds)
        record.output = str(folder)
        record.write()
        start = time.monotonic()
        try:
            reason = self._attempt(config)
            record.status, record.reason = (DONE, "") if reason is None else (FAILED, reason)
        except SystemExit as end:
            signalled = isinstance(end.code, int) and end.code >= SIGNALLED
            record.status, record.reason = (INTERRUPTED if signalled else FAILED), f"ended with code {end.code}"
            raise
        except Interrupted as interrupted:
            record.status, record.reason = INTERRUPTED, signal.Signals(interrupted.signal).name
            raise
        finally:
            record.seconds += time.monotonic() - start
            record.add_scores()
            record.write()
            write_summary(folder.parent)
        if (number := caught()) is not None:  # too late to end this job, and the next shall not begin
            sys.exit(SIGNALLED + number)

    def _attempt(self, config: DictConfig) -> str | None:
        """Checks and calls; returns why that failed, None where it did not.

        In a sweep a defect of ours is no reason to leave the other jobs undone, either: its trace is printed.
        """
        try:
            refuse_sweeps_of_several_processes(config)
            settle_paths(config)
            plain = resolve(config)
            check_arguments(self.function, plain)
            check_config(plain)
            with full_error(self.full_error):  # processes that the function starts inherit the user's wish, not ours
                self.function(**plain)
        except Exception as error:
            sweep = HydraConfig.get().mode == RunMode.MULTIRUN
            if not is_user_error(error):
                if not sweep:
                    raise
                traceback.print_exc()
            return self.report(error, [key for key, _ in dotted(config)])
        return None

    def report(self, error: Exception, keys: Collection[str] = ()) -> str:
        """Says in one line what is wrong and returns it, or raises the error for whoever wants the trace.

        Args:
            error: what ended the command.
            keys: its settings, for advice that names some.
        """
        self.failed = True
        if self.full_error == "1":
            raise error
        line = as_settings(one_line(error), keys)
        print(f"generatect.{self.command}: {line}", file=sys.stderr)
        return line


def refuse_sweeps_of_several_processes(config: DictConfig) -> None:
    """Each process of a run is started with the whole command, and would sweep by itself; SLURM's are started apart.

    Raises:
        InputError: a sweep whose jobs train in several processes that Lightning would start.
    """
    trainer, hydra_config = config.get("trainer"), HydraConfig.get()
    if trainer is None or hydra_config.mode != RunMode.MULTIRUN:
        return
    if OmegaConf.select(hydra_config, "launcher._target_") == SLURM_LAUNCHER:
        return
    if trainer.get("strategy", "auto") != "auto" or str(trainer.get("devices", 1)) != "1":
        raise InputError(
            "--multirun with several processes a job: the processes would each sweep; use strategy=single, "
            "hydra/launcher=submitit_slurm, or one command for each job"
        )


def settle_paths(config: DictConfig) -> None:
    """`~` is home in what other settings are made of; in a sweep job 3 writes to `output`/3, and goes on from there.

    Jobs that are shards of one dataset all write to `output`.
    """
    for key in ("output", "resume"):
        if isinstance(config.get(key), str):
            config[key] = str(Path(config[key]).expanduser())
    hydra_config = HydraConfig.get()
    if hydra_config.mode != RunMode.MULTIRUN:
        return
    if "output" in config and not fills_one_output(list(hydra_config.overrides.task)):
        config.output = f"{config.output}/{hydra_config.job.num}"
    if "resume" in config and config.resume is None and not config.fresh:
        config.resume = "auto"


def resolve(config: DictConfig) -> dict:
    """Returns the configuration as plain containers, interpolations resolved.

    Raises:
        InputError: an interpolation or a mandatory value is missing.
    """
    missing = [key for key, value in dotted(config) if value == "???"]
    if missing:
        raise InputError(f"{missing[0]}: a value is needed, none was given; add {missing[0]}=… to the command")
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def _speaks() -> bool:
    """Of the processes that SLURM starts for one job the first keeps the record."""
    return os.environ.get("SLURM_PROCID", "0") == "0"
