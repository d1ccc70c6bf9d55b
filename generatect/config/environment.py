"""The one environment variable that Hydra reads about errors."""

import contextlib
import os
from collections.abc import Iterator

FULL_ERROR = "HYDRA_FULL_ERROR"


@contextlib.contextmanager
def full_error(value: str | None) -> Iterator[None]:
    """Sets the environment's `HYDRA_FULL_ERROR` for a while; None unsets it."""
    before = os.environ.get(FULL_ERROR)
    try:
        _set(value)
        yield
    finally:
        _set(before)


def _set(value: str | None) -> None:
    os.environ.pop(FULL_ERROR, None)
    if value is not None:
        os.environ[FULL_ERROR] = value
