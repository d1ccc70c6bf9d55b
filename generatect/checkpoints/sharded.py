"""Tensors of which each process holds a part (FSDP), and the whole ones that files hold."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process has a part of `tensor` only."""
    return isinstance(tensor, DTensor)


def local_part(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, sharing its memory; a whole one as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on the CPU where it was sharded. Every process must call this, in the same order."""
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def whole_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """All of a state dict. Every process must call this."""
    return {key: whole(value) for key, value in state.items()}


@torch.no_grad()
def part_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor on the device of `model`, and sharded as that is; every process has it, so none has to ask."""
    tensor = tensor.to(model.device)
    if not isinstance(model, DTensor) or isinstance(tensor, DTensor):
        return tensor
    return distribute_tensor(tensor, model.device_mesh, model.placements, src_data_rank=None)
