"""Norm, scale, average and use of gradients, of which FSDP may have spread some over the processes."""

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from generatect.checkpoints.sharded import is_sharded, local_part


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together; every process gets the same."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    assert gradients, "nothing has a gradient"
    common = [gradient for gradient in gradients if not is_sharded(gradient)]
    parts = [local_part(gradient) for gradient in gradients if is_sharded(gradient)]
    device = local_part(gradients[0]).device
    square = _sum_of_squares(parts, device)
    if parts:
        dist.all_reduce(square)
    return (square + _sum_of_squares(common, device)).sqrt()


@torch.no_grad()
def scale_gradients(parameters: Iterable[nn.Parameter], factor: Tensor | float) -> None:
    """Multiplies every gradient by `factor`, in place."""
    gradients = [local_part(parameter.grad) for parameter in parameters if parameter.grad is not None]
    if gradients:
        torch._foreach_mul_(gradients, factor)


@torch.no_grad()
def average_whole_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Averages over the processes the gradients that FSDP does not: those of parameters that every process has whole.

    A parameter that got a gradient in no process stays without; one that got it in some counts as zero in the others.
    """
    whole = [parameter for parameter in parameters if not is_sharded(parameter)]
    if not whole:
        return
    has_gradient = torch.tensor([float(p.grad is not None) for p in whole], device=whole[0].device)
    parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in whole]
    message = torch.cat([has_gradient, *parts])
    dist.all_reduce(message)
    counts, *averages = message.split([len(whole), *(part.numel() for part in parts)])
    for parameter, count, average in zip(whole, counts.tolist(), averages, strict=True):
        if count:
            gradient = (average / dist.get_world_size()).view_as(parameter).to(parameter.dtype)
            parameter.grad = gradient


def step_in_parts(optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
    """A step for sharded weights, and one for whole ones: no fused optimizer takes them together.

    An optimizer passes over weights without gradient, and counts the steps of each by itself.
    """
    gradients = {parameter: parameter.grad for parameter in parameters}
    for now_sharded in (True, False):
        for parameter, gradient in gradients.items():
            parameter.grad = gradient if is_sharded(parameter) == now_sharded else None
        optimizer.step()


def _sum_of_squares(tensors: list[Tensor], device: torch.device) -> Tensor:
    if not tensors:
        return torch.zeros((), device=device)
    return torch.stack(torch._foreach_norm(tensors)).float().square().sum()
