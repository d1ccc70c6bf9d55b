"""What the model makes of each validation item, as a table."""

from pathlib import Path
from typing import Any

import lightning as L
import torch

from generatect.callbacks.steps import steps_done
from generatect.errors import InputError
from generatect.loggers.item_table import Item, write_items


class Tables(L.Callback):
    """Writes a CSV after each validation, a row for each of its first items: name, prompt and what the stage judges.

    Args:
        folder: where the tables go.
        num_items: at most so many rows.

    Raises:
        InputError: a number of rows below 1.
    """

    def __init__(self, *, folder: str, num_items: int = 8) -> None:
        if num_items < 1:
            raise InputError(f"callbacks.tables.num_items={num_items}: expected at least 1; ~callbacks.tables for none")
        self.folder, self.num_items = Path(folder), num_items
        self._items: list[Item] = []

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A new table."""
        self._items = []

    @torch.no_grad()
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: dict[str, Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Judges a batch until there are enough rows; in every process, as sharded weights need them all."""
        missing = self.num_items - len(self._items)
        if missing <= 0 or trainer.sanity_checking:
            return
        some = {key: value[:missing] for key, value in batch.items()}
        with trainer.precision_plugin.forward_context():
            judged = pl_module.judge(some)
        values = {key: value.float().tolist() for key, value in judged.items()}
        for index, (name, prompt) in enumerate(zip(some["name"], some["text"], strict=True)):
            self._items.append(Item(name, prompt, {key: column[index] for key, column in values.items()}))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the table."""
        if self._items and trainer.is_global_zero:
            step = steps_done(trainer)
            write_items(self._items, self.folder / f"step-{step:07d}.csv", trainer.loggers, step)
