"""Which weights decay, how the learning rate runs, and optimizer states of older checkpoints."""

import itertools
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
    everything = [p for network in networks for p in network.parameters() if p.requires_grad]
    optimizer = make(everything)
    if not optimizer.defaults.get("weight_decay"):
        return optimizer
    decaying = {
        id(module.weight) for network in networks for module in network.modules() if isinstance(module, KERNELS)
    }
    return make(
        [
            {"params": [p for p in everything if id(p) in decaying]},
            {"params": [p for p in everything if id(p) not in decaying], "weight_decay": 0.0},
        ]
    )


def regrouped(content: dict[str, Any], optimizer: Optimizer, networks: Sequence[nn.Module]) -> dict[str, Any]:
    """A saved state in the groups of `optimizer`: checkpoints of older versions have all parameters in one.

    Args:
        content: `optimizer.state_dict()` of any version.
        optimizer: as `build_optimizer` has made it.
        networks: those it was made for.
    """
    own = [group["params"] for group in optimizer.param_groups]
    if len(content["param_groups"]) != 1 or len(own) == 1:
        return content
    place = {id(p): i for i, p in enumerate(p for n in networks for p in n.parameters() if p.requires_grad)}
    order = [place[id(parameter)] for group in own for parameter in group]
    state = {new: content["state"][old] for new, old in enumerate(order) if old in content["state"]}
    saved, indices = content["param_groups"][0], itertools.count()
    groups = [
        {**saved, "weight_decay": group["weight_decay"], "params": [next(indices) for _ in group["params"]]}
        for group in optimizer.param_groups
    ]
    return {"state": state, "param_groups": groups}


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


def regrouped_schedule(content: dict[str, Any], num_groups: int) -> dict[str, Any]:
    """A saved state of `warmup_cosine` for an optimizer of `num_groups` groups; see `regrouped`."""
    lists = {key: content[key] for key in ("base_lrs", "_last_lr", "lr_lambdas") if key in content}
    return content | {key: value * num_groups for key, value in lists.items() if len(value) == 1}
