"""Which weights decay, how the learning rate runs, and how a resumed run goes on with other settings of both."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]

KERNELS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose `weight` decays. Biases, gains of norms, embeddings, positions and other learned tokens never do: their
size means something (Loshchilov & Hutter 2019, arXiv:1711.05101, and the practice since GPT-2)."""


def build_optimizer(make: OptimizerFactory, networks: Sequence[nn.Module]) -> Optimizer:
    """The optimizer over the trainable parameters of `networks`, those that decay first.

    Within both groups they keep the networks' own order, so that a state means the same weights in every run. An
    optimizer without weight decay has one group.

    Args:
        make: parameters or groups of them → optimizer, e.g. a partial of `torch.optim.AdamW`.
        networks: in their order.
    """
    decaying, others = _decaying_and_others(networks)
    optimizer = make(_trainable(networks))
    if not optimizer.defaults.get("weight_decay"):
        return optimizer
    return make([{"params": decaying}, {"params": others, "weight_decay": 0.0}])


def regrouped(content: dict[str, Any], optimizer: Optimizer, networks: Sequence[nn.Module]) -> dict[str, Any]:
    """A saved state in the groups of `optimizer`, one without weight decay and two with it, and with its settings.

    Args:
        content: `state_dict()` of an optimizer that `build_optimizer` has made for the same networks.
        optimizer: as `build_optimizer` has made it, with the settings to go on by.
        networks: those it was made for.
    """
    decaying, others = _decaying_and_others(networks)
    before = _trainable(networks) if len(content["param_groups"]) == 1 else [*decaying, *others]
    now = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    old = {id(parameter): index for index, parameter in enumerate(before)}
    places = {new: old[id(parameter)] for new, parameter in enumerate(now)}
    state = {new: content["state"][index] for new, index in places.items() if index in content["state"]}
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}


def warmup_cosine(optimizer: Optimizer, *, warmup_steps: int, num_steps: int, final_ratio: float) -> LambdaLR:
    """Linear warm-up of the learning rate, then half a cosine down to `final_ratio` of it at the last step.

    Args:
        optimizer: holds the peak.
        warmup_steps: length of the warm-up; 0 for none.
        num_steps: length of the run.
        final_ratio: learning rate at the end, relative to its peak.
    """

    def ratio(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, num_steps - warmup_steps))
        return final_ratio + (1 - final_ratio) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, ratio)


def rescheduled(content: dict[str, Any], schedule: LambdaLR) -> dict[str, Any]:
    """A saved state of `warmup_cosine` as `schedule` has it after as many steps; its optimizer gets the rates.

    Args:
        content: `state_dict()` of the schedule at the step to go on from.
        schedule: of the run that goes on.
    """
    step = content["last_epoch"]
    rates = [base * ratio(step) for base, ratio in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
    for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    own = schedule.state_dict()
    return {**content, "base_lrs": own["base_lrs"], "lr_lambdas": own["lr_lambdas"], "_last_lr": rates}


def _trainable(networks: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [p for network in networks for p in network.parameters() if p.requires_grad]


def _decaying_and_others(networks: Sequence[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    kernels = {id(module.weight) for network in networks for module in network.modules() if isinstance(module, KERNELS)}
    everything = _trainable(networks)
    return [p for p in everything if id(p) in kernels], [p for p in everything if id(p) not in kernels]
