"""Runs an entry point: compose with Hydra, check, call, and turn bad input into one line.

Hydra's own error report is several lines and a hint; ours is one line and exit code 2. `HYDRA_FULL_ERROR=1` gives the
stack trace to whoever wants it.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from generatect.config.check import check_arguments, check_config
from generatect.config.quiet import quiet
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.config.suggest import dotted, explain
from generatect.errors import InputError

USER_ERRORS = (InputError, HydraException, OmegaConfBaseException, OSError)
FREE_TEXT = ("prompt",)
"""Settings whose value is prose: taken as it stands, commas, colons and all."""

_QUOTED = re.compile(r"""(['"])((?!\1)[^\\]|\\.)*\1|null""", re.DOTALL)


def run_command(config_name: str, function: Callable[..., None]) -> None:
    """Composes `conf/CONFIG_NAME.yaml` with the command line and calls `function(**config)` with plain values.

    The signature of `function` is the schema of the top level. Exits with 2 where the input cannot be used.
    """
    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
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
            give_each_job_its_folder(config)
            plain = resolve(config)
            check_config(plain)
            check_arguments(function, plain)
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
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = argv, "1"
    try:
        yield
    finally:
        sys.argv = before[0]
        del os.environ["HYDRA_FULL_ERROR"]
        if before[1] is not None:
            os.environ["HYDRA_FULL_ERROR"] = before[1]


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


def give_each_job_its_folder(config: DictConfig) -> None:
    """In a sweep, job 3 writes to `output`/3: jobs that differ in a setting must not overwrite each other."""
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
