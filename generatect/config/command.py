"""Runs an entry point: compose with Hydra, check, call, and turn bad input into one line.

Hydra's own error report is several lines and a hint; ours is one line and exit code 2. `HYDRA_FULL_ERROR=1` gives the
stack trace to whoever wants it.
"""

import os
import sys
from collections.abc import Callable

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from generatect.config.check import check_arguments, check_config
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.errors import InputError

USER_ERRORS = (InputError, HydraException, OmegaConfBaseException, OSError)


def run_command(config_name: str, function: Callable[..., None]) -> None:
    """Composes `conf/CONFIG_NAME.yaml` with the command line and calls `function(**config)` with plain values.

    The signature of `function` is the schema of the top level.
    """
    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints and exits before we see the error
    register_resolvers()

    failures = []

    def call(config: DictConfig) -> None:
        try:
            plain = resolve(config)
            check_config(plain)
            check_arguments(function, plain)
            function(**plain)
        except USER_ERRORS as error:  # caught here and not by Hydra, so that a sweep goes on to its next job
            if wants_trace:
                raise
            failures.append(error)
            print(f"generatect.{config_name}: {one_line(error)}", file=sys.stderr)

    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(call)()
    except USER_ERRORS as error:  # the configuration did not compose
        if wants_trace:
            raise
        failures.append(error)
        print(f"generatect.{config_name}: {one_line(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit(130)
    if failures:
        sys.exit(2)


def resolve(config: DictConfig) -> dict:
    """Returns the configuration as plain containers, interpolations resolved.

    Raises:
        InputError: an interpolation or a mandatory value is missing.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise InputError(f"{missing[0]}: a value is needed, none was given; add {missing[0]}=… to the command")
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def one_line(error: BaseException) -> str:
    """The message of an error on one line, with a hint where Hydra only states the fact."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; choose a path that can be read and written"
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause).splitlines()[:1]:
        text = f"{text.rstrip('.')}: {str(cause).splitlines()[0]}"
    return text.replace(" To append to your config use", "; check the spelling, or to add it use")
