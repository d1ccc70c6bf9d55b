"""Says whether a training learns a few items by heart."""

import math
from typing import Any

import lightning as L

LOSSES = ("train/loss", "train/reconstruction")
"""What is looked at: the first of them that the stage logs."""
ENOUGH = 0.7
"""A loss that ends below this share of where it began has fallen."""


class Overfit(L.Callback):
    """Compares the loss of the first and of the last tenth of the steps, and prints what it finds.

    What is dropped at random, whole texts and single words, is not while it looks: nothing shall hide the items.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sets every probability of dropping something to 0, and says so."""
        for module in pl_module.modules():
            for name, value in vars(module).items():
                if name.endswith(("drop_prob", "dropout_prob")) and value:
                    setattr(module, name, 0.0)
                    if trainer.is_global_zero:
                        print(f"overfit: {name} is 0 instead of {value}")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keeps the loss."""
        values = trainer.callback_metrics
        self.losses += [float(values[name]) for name in LOSSES if name in values][:1]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the verdict."""
        if trainer.is_global_zero and self.losses:
            print(verdict(self.losses))


def verdict(losses: list[float]) -> str:
    """One line about a series of losses.

    Args:
        losses: of each step, at least one.
    """
    width = max(1, len(losses) // 10)
    before, after = (sum(part) / width for part in (losses[:width], losses[-width:]))
    numbers = f"loss {before:.4g} → {after:.4g} in {len(losses)} steps"
    if not math.isfinite(after):
        return f"overfit: {numbers}, it is not finite; lower stage.module.optimizer.lr"
    numbers = f"{numbers}, {after / before:.0%} of where it began"
    if after < ENOUGH * before:
        return f"overfit: {numbers}: it fell (below {ENOUGH:.0%})"
    return (
        f"overfit: {numbers}: not learned by heart, expected below {ENOUGH:.0%}; give more steps, and where that does "
        "not help look at the data and stage.module.optimizer.lr"
    )
