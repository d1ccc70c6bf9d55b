"""The checkpoint to go on from, and the one before it."""

import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class Latest(Checkpoint):
    """Writes the state of the whole run every so many batches; `resume=auto` goes on from there.

    The one before stays beside it as `previous.ckpt`: should the newest be damaged later, little is lost.

    Args:
        path: the file, replaced each time.
        every: batches from one to the next.
    """

    def __init__(self, *, path: str, every: int) -> None:
        self.path, self.every = Path(path), every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches, not optimizer steps, of which a GAN takes more."""
        if (batch_idx + 1) % self.every == 0:
            self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Writes the checkpoint now; at no moment is there none."""
        if trainer.is_global_zero:
            keep_previous(self.path)
        trainer.save_checkpoint(self.path, weights_only=False)


def keep_previous(path: Path) -> None:
    """Gives the file at `path` a second name, which stays when `path` is replaced."""
    if not path.exists():
        return
    second, temporary = path.with_name("previous.ckpt"), path.with_name(".previous.ckpt.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # some network drives know no second names
        return
    os.replace(temporary, second)
