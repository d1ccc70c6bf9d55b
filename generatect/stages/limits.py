"""What no trainer can do with a stage, said before anything is built."""

from collections.abc import Mapping
from typing import Any

import torch

from generatect.errors import InputError


def check_trainer(stage: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    """Refuses combinations of stage, precision, strategy and accelerator that cannot work.

    Args:
        stage: its `name` and the networks to be `averaged`.
        trainer: arguments of `lightning.Trainer`.

    Raises:
        InputError: naming the setting and what to choose instead.
    """
    accelerator, precision = trainer.get("accelerator", "auto"), str(trainer.get("precision", ""))
    is_ctvit, sharded = stage["name"] == "ctvit", _is_sharded(trainer.get("strategy"))
    if is_ctvit and sharded:  # its adaptive weight and its clipping need whole weights and whole gradients
        raise InputError("strategy=fsdp: stage ctvit needs its weights whole; use strategy=ddp")
    if is_ctvit and "16" in precision and "bf16" not in precision:  # it steps by hand, and nobody unscales for it
        raise InputError(f"trainer.precision={precision}: stage ctvit cannot scale its losses; use precision=bf16")
    if sharded and stage.get("averaged"):
        raise InputError(
            f"stage.averaged={list(stage['averaged'])}: weights that strategy=fsdp shards cannot be averaged; "
            "use strategy=ddp or stage.averaged=[]"
        )
    if not _is_there(accelerator):
        choice = "strategy=ddp" if sharded else "trainer.accelerator=cpu"
        raise InputError(f"trainer.accelerator={accelerator}: no GPU found here; use {choice} or a machine with one")


def _is_sharded(strategy: Any) -> bool:
    name = strategy.get("_target_", "") if isinstance(strategy, Mapping) else str(strategy)
    return "fsdp" in name.lower()


def _is_there(accelerator: Any) -> bool:
    if accelerator == "gpu":
        return torch.cuda.is_available() or torch.backends.mps.is_available()
    return accelerator != "cuda" or torch.cuda.is_available()
