"""Runs an entry point: compose with Hydra, check, call, and turn bad input into one line.

Hydra's own error report is several lines and a hint; ours is one line and exit code 2. `HYDRA_FULL_ERROR=1` gives the
stack trace to whoever wants it.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from generatect.config.check import check_arguments, check_config
from generatect.config.quiet import quiet
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.config.suggest import dotted, explain
from generatect.errors import InputError

USER_ERRORS = (InputError, HydraException, OmegaConfBaseException, MisconfigurationException, OSError)
FREE_TEXT = ("prompt",)
"""Settings whose value is prose: taken as it stands, commas, colons and all."""

_QUOTED = re.compile(r"""(['"])((?!\1)[^\\]|\\.)*\1|null""", re.DOTALL)


def run_command(config_name: str, function: Callable[..., None]) -> None:
    """Composes `conf/CONFIG_NAME.yaml` with the command line and calls `function(**config)` with plain values.

    The signature of `function` is the schema of the top level. Exits with 2 where the input cannot be used.
    """
    user_setting = os.environ.get("HYDRA_FULL_ERROR")
    wants_trace = user_setting == "1"
    register_resolvers()
    quiet()
    argv = [sys.argv[0], *map(quote_free_text, sys.argv[1:])]
    overrides = [argument for argument in argv[1:] if not argument.startswith("-")]
    failed = False

    def report(error: Exception) -> None:
        nonlocal failed
        failed = True
        if wants_trace:
            raise error
        message = explain(error, config_name, overrides) if isinstance(error, HydraException) else None
        print(f"generatect.{config_name}: {message or one_line(error)}", file=sys.stderr)

    def call(config: DictConfig) -> None:
        try:
            refuse_sweeps_of_several_processes(config)
            settle_paths(config)
            plain = resolve(config)
            check_config(plain)
            check_arguments(function, plain)
            with full_error(user_setting):  # processes that the function starts inherit the user's wish, not ours
                function(**plain)
        except USER_ERRORS as error:  # caught here and not by Hydra, so that a sweep goes on to its next job
            report(error)

    try:
        with _hydra_reads(argv):
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(call)()
    except USER_ERRORS as error:  # the configuration did not compose
        report(error)
    except KeyboardInterrupt:
        sys.exit(130)
    if failed:
        sys.exit(2)


@contextlib.contextmanager
def _hydra_reads(argv: list[str]) -> Iterator[None]:
    """Hands Hydra a command line, and takes error reports from it: it would print and exit before we see the error."""
    before, sys.argv = sys.argv, argv
    try:
        with full_error("1"):
            yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def full_error(value: str | None) -> Iterator[None]:
    """Sets the environment's `HYDRA_FULL_ERROR` for a while; None unsets it."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    try:
        _set_full_error(value)
        yield
    finally:
        _set_full_error(before)


def _set_full_error(value: str | None) -> None:
    os.environ.pop("HYDRA_FULL_ERROR", None)
    if value is not None:
        os.environ["HYDRA_FULL_ERROR"] = value


def quote_free_text(argument: str) -> str:
    """Quotes the value of a free-text setting, so that Hydra's grammar takes nothing in it for syntax.

    A value that somebody has quoted already stays as it is.
    """
    key, equals, value = argument.partition("=")
    if key not in FREE_TEXT or not equals or _QUOTED.fullmatch(value):
        return argument
    # Hydra reads \' as a quote and, before a quote, \\ as a backslash; OmegaConf reads \${ as a plain ${.
    trailing = value[len(value.rstrip("\\")) :]
    quoted = re.sub(r"(\\*)'", r"\1\1\\'", value.removesuffix(trailing)) + trailing * 2
    return f"{key}='{quoted}'".replace("${", r"\${")


def refuse_sweeps_of_several_processes(config: DictConfig) -> None:
    """Each process of a run is started with the whole command, and would sweep by itself.

    Raises:
        InputError: a sweep whose jobs train in several processes.
    """
    trainer = config.get("trainer")
    if trainer is None or HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    if trainer.get("strategy", "auto") != "auto" or str(trainer.get("devices", 1)) != "1":
        raise InputError(
            "--multirun with several processes a job: the processes would each sweep; use strategy=single, or one "
            "command for each job"
        )


def settle_paths(config: DictConfig) -> None:
    """`~` is home in what other settings are made of; and in a sweep job 3 writes to `output`/3, none over another."""
    for key in ("output", "resume"):
        if isinstance(config.get(key), str):
            config[key] = str(Path(config[key]).expanduser())
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN and "output" in config:
        config.output = f"{config.output}/{hydra_config.job.num}"


def resolve(config: DictConfig) -> dict:
    """Returns the configuration as plain containers, interpolations resolved.

    Raises:
        InputError: an interpolation or a mandatory value is missing.
    """
    missing = [key for key, value in dotted(config) if value == "???"]
    if missing:
        raise InputError(f"{missing[0]}: a value is needed, none was given; add {missing[0]}=… to the command")
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def one_line(error: BaseException) -> str:
    """The message of an error on one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; choose a path that can be read and written"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Caught InputError in DataLoader worker"):  # the trace of another process
        return lines[-1].partition("InputError: ")[2]
    text = " ".join(lines)
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause).splitlines()[:1]:
        text = f"{text.rstrip('.')}: {str(cause).splitlines()[0]}"
    return text or type(error).__name__
