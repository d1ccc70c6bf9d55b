"""Where networks compute and in which precision."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from generatect.errors import InputError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` takes a GPU where there is one.

    Raises:
        InputError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name}: not available here; use auto or cpu") from error
    return torch.device(name)


def device_of_shard(name: str, index: int, num_gpus: int) -> str:
    """Where a process does its share: with `auto` and several GPUs each process takes the next one.

    Args:
        name: auto, cpu, cuda, ….
        index: of the process.
        num_gpus: that this process sees.
    """
    return f"cuda:{index % num_gpus}" if name == "auto" and num_gpus > 1 else name


def pick_precision(name: str, device: torch.device) -> str:
    """The precision of that name; `auto` takes bf16 on a GPU that has it, and fp32 anywhere else.

    Raises:
        InputError: no such precision.
    """
    if name == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    dtype_of(name)
    return name


def dtype_of(precision: str) -> torch.dtype:
    """The type behind the name of a precision.

    Raises:
        InputError: no such precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"arithmetic={precision}: choose one of auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[precision]


def bytes_of(network: nn.Module) -> int:
    """Size of a network's weights."""
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


@contextmanager
def placed(networks: Sequence[nn.Module | None], device: torch.device, offload: bool) -> Iterator[None]:
    """Networks on the device; with `offload` only while this lasts, and on the CPU before and after."""
    present = [network for network in networks if network is not None]
    for network in present:
        network.to(device)
    try:
        yield
    finally:
        if offload:
            for network in present:
                network.to("cpu")
            if device.type == "cuda":
                torch.cuda.empty_cache()


def compile_once(network: nn.Module) -> None:
    """Compiles a network at its next call, for the shapes that it is then given.

    Raises:
        InputError: no C++ compiler, which the CPU needs for it.
    """
    if getattr(network, "_compiled_call_impl", None) is not None:
        return
    if next(network.parameters()).device.type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler

        try:
            get_cpp_compiler()
        except Exception as error:  # torch raises its own kinds
            raise InputError("compile=true: needs a C++ compiler (g++) on this machine; use compile=false") from error
    network.compile(dynamic=False)
