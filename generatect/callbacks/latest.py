"""The checkpoint to go on from."""

import secrets
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from generatect.callbacks.steps import steps_done
from generatect.checkpoints.durable import remove_unfinished
from generatect.checkpoints.resume import RUN_KEY
from generatect.errors import InputError


class Latest(Checkpoint):
    """Writes the state of the whole run every so many batches; `resume=auto` goes on from there.

    The one before stays beside it as `previous.ckpt`: should the newest be damaged later, little is lost.

    Args:
        path: the file, replaced each time.
        every: batches from one to the next.

    Attributes:
        run: a name for the run, in all its checkpoints; a resumed run keeps it.
        step: batches done when it was last written in this process.

    Raises:
        InputError: `every` is below 1.
    """

    def __init__(self, *, path: str, every: int) -> None:
        if every < 1:
            raise InputError(f"callbacks.latest.every={every}: expected at least 1")
        self.path, self.every = Path(path), every
        self.run: str | None = secrets.token_hex(8)
        self.step: int | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Clears away what a killed run has left half written."""
        if trainer.is_global_zero:
            remove_unfinished(self.path.parent)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches, not optimizer steps, of which a GAN takes more."""
        if (batch_idx + 1) % self.every == 0:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Writes the checkpoint now; at no moment is there none."""
        trainer.save_checkpoint(self.path, weights_only=False)
        self.step = steps_done(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Says whose checkpoint it is."""
        checkpoint[RUN_KEY] = self.run

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Goes on under the same name."""
        self.run = checkpoint.get(RUN_KEY)


def latest_of(trainer: L.Trainer) -> Latest | None:
    """The callback that writes the checkpoint to go on from, if there is one."""
    return next((callback for callback in trainer.callbacks if isinstance(callback, Latest)), None)
