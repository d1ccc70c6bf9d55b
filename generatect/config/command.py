"""Runs an entry point: compose with Hydra, check, call, and turn bad input into one line.

Hydra's own error report is several lines and a hint; ours is one line and exit code 2. `HYDRA_FULL_ERROR=1` gives the
stack trace to whoever wants it.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator

import hydra
from hydra.errors import HydraException

from generatect.config.ahead import Ahead, look_ahead
from generatect.config.check import check_arguments, check_arguments_in_source, check_config_in_source
from generatect.config.environment import FULL_ERROR, full_error
from generatect.config.job import Job, resolve
from generatect.config.one_line import USER_ERRORS, one_line
from generatect.config.quiet import quiet
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.config.source import hints_in_source
from generatect.config.suggest import explain
from generatect.config.sweep import finish_sweep
from generatect.config.targets import type_hints
from generatect.config.words import read_words
from generatect.errors import InputError
from generatect.signals import ended_in_one_line


def run_command(config_name: str, function: Callable[..., None]) -> None:
    """Composes `conf/CONFIG_NAME.yaml` with the command line and calls `function(**config)` with plain values.

    The signature of `function` is the schema of the top level. Exits with 2 where the input cannot be used, and after a
    sweep in which a job was not done.
    """
    user_setting = os.environ.get(FULL_ERROR)
    register_resolvers()
    quiet()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be UTF-8, and are printed all the same
            stream.reconfigure(errors="backslashreplace")
    argv = list(sys.argv)
    job = Job(config_name, function, user_setting)
    ahead: Ahead | None = None
    try:
        hints = {name: hint for name, hint in type_hints(function).items() if name != "return"}
        argv[1:] = read_words(sys.argv[1:], hints)
        with ended_in_one_line(config_name), _hydra_reads(argv):
            looked = look_ahead(config_name, argv[1:])
            if looked is not None and looked.shared is not None:
                check_arguments(function, looked.shared)
                check_config_in_source(looked.shared)
            ahead = looked
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(job)()
    except USER_ERRORS as error:  # the configuration did not compose
        job.report(error if user_setting == "1" else InputError(_explained(error, config_name, argv[1:])))
    except Exception as error:
        if ahead is None or not ahead.uses_processes:
            raise
        job.report(InputError(f"--multirun: {ahead.launcher} lost a job ({type(error).__name__}); run the same again"))
    finally:
        if ahead is not None and ahead.sweep_folder is not None:
            job.failed |= not finish_sweep(ahead.sweep_folder)
    if job.failed:
        sys.exit(2)


def refuse_early(config_name: str) -> None:
    """Answers most mistakes on the command line before the importing of torch and Lightning, which takes seconds.

    For the first lines of a module that is run; `run_command`, at its end, checks everything. Exits with 2.

    Args:
        config_name: of the entry point `generatect.CONFIG_NAME.CONFIG_NAME`.
    """
    if os.environ.get(FULL_ERROR) == "1":
        return  # the trace of a complete start tells more
    register_resolvers()
    target, arguments = f"generatect.{config_name}.{config_name}", sys.argv[1:]
    try:
        arguments = read_words(arguments, hints_in_source(target) or {})
        with full_error("1"):
            ahead = look_ahead(config_name, arguments)
        plain = None if ahead is None else ahead.shared
        if ahead is not None and ahead.config is not None:
            plain = resolve(ahead.config)
        if plain is not None:
            check_arguments_in_source(target, plain)
            check_config_in_source(plain)
    except USER_ERRORS as error:
        print(f"generatect.{config_name}: {_explained(error, config_name, arguments)}", file=sys.stderr)
        sys.exit(2)


def _explained(error: Exception, config_name: str, arguments: list[str]) -> str:
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    message = explain(error, config_name, overrides) if isinstance(error, HydraException) else None
    return message or one_line(error)


@contextlib.contextmanager
def _hydra_reads(argv: list[str]) -> Iterator[None]:
    """Hands Hydra a command line, and takes error reports from it: it would print and exit before we see the error."""
    before, sys.argv = sys.argv, argv
    try:
        with full_error("1"):
            yield
    finally:
        sys.argv = before
