"""What the processes of one training tell each other."""

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec

import torch
import torch.distributed as dist
from torch import Tensor


def are_several() -> bool:
    """Whether other processes train with this one."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@torch.no_grad()
def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over all processes, without gradient; not finite where one of them is not."""
    values = values.detach()
    if not are_several():
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values / dist.get_world_size()


def of_every_process(value: Any) -> list[Any]:
    """The plain values of all processes."""
    if not are_several():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


Arguments = ParamSpec("Arguments")


def first_failure_speaks(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Of processes that fail in `function` lets only the first report its error; the others end with code 2."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception:
            if not is_first_to_fail():
                sys.exit(2)
            raise

    return run


def is_first_to_fail() -> bool:
    """Whether no other process has failed before this one.

    Of several errors the first is the cause. A process that finds the others gone has nothing to add.
    """
    if not are_several():
        return True
    try:
        return dist.distributed_c10d._get_default_store().add("generatect_failures", 1) == 1
    except RuntimeError:  # the process that keeps the count has ended
        return False
