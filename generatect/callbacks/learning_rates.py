"""One curve of the learning rate for each optimizer."""

from typing import Any

import lightning as L

from generatect.callbacks.steps import is_logged, log_numbers

PREFIXES = ("", "discriminator_")
"""Of the first and the second optimizer: only stage `ctvit` has two."""


class LearningRates(L.Callback):
    """Logs the rate with which each optimizer takes the step at hand; its groups of parameters share one rate."""

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Reads the rates before the schedule moves them."""
        if is_logged(trainer, batch_idx):
            rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers]
            named = {f"train/{prefix}learning_rate": rate for prefix, rate in zip(PREFIXES, rates, strict=False)}
            log_numbers(trainer, named)
