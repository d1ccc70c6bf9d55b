"""Composes the configuration of another command, for a command that runs it."""

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from generatect.config.check import check_config
from generatect.config.job import resolve
from generatect.config.resolvers import config_folder
from generatect.config.suggest import explain
from generatect.config.template_names import refuse_words_of_template
from generatect.errors import InputError


def compose_and_check(config_name: str, overrides: list[str]) -> dict:
    """The checked configuration of a command as plain values.

    Raises:
        InputError: a setting that does not exist or has a value that cannot be.
    """
    refuse_words_of_template(overrides)
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        try:
            plain = resolve(compose(config_name, overrides))
        except HydraException as error:
            raise InputError(explain(error, config_name, overrides) or " ".join(str(error).split())) from error
    check_config(plain)
    return plain
