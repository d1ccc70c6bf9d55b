"""A checkpoint to go on from."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class Latest(Checkpoint):
    """Writes the state of the whole run every so many batches: `resume=PATH` goes on from there.

    Args:
        path: the file, replaced each time.
        every: batches from one to the next.
    """

    def __init__(self, *, path: str, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches, not optimizer steps, of which a GAN takes more."""
        if (batch_idx + 1) % self.every == 0:
            trainer.save_checkpoint(self.path, weights_only=False)
