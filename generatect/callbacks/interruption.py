"""A run that is told to end saves where it is, and ends."""

import os
import signal
import subprocess
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from generatect.callbacks.latest import Latest

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))


class Interrupted(Exception):
    """A signal ended the run after it was saved.

    Attributes:
        signal: which one.
        step: training batches done.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"{signal.Signals(number).name} after step {step}")
        self.signal, self.step = number, step


class Interruption(Checkpoint):  # Lightning calls these after all others, which have then done their part
    """On SIGTERM, SIGUSR1 or SIGUSR2 saves at the next safe point and raises `Interrupted`.

    A safe point is the end of a batch, in training or validation; the signal handler only takes note. SLURM announces
    the end of a job's time by a signal (`#SBATCH --signal=USR1@120`); the job is then put back into the queue.

    Args:
        path: the checkpoint, as `Latest` writes it.
    """

    def __init__(self, *, path: str) -> None:
        self.latest = Latest(path=path, every=1)
        self.caught: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the signals over from Lightning, which gives them back after the run: one owner."""
        for number in SIGNALS:
            signal.signal(number, self._take_note)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the run if it shall end."""
        self._end(trainer, batch_idx + 1)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Ends the run if it shall end; its checkpoint says that the validation is still to be done."""
        self._end(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.processed)

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        self.caught = number

    def _end(self, trainer: L.Trainer, step: int) -> None:
        caught = self.caught is not None
        if trainer.world_size > 1:  # one process's signal ends all of them at the same batch
            caught = trainer.strategy.reduce_boolean_decision(caught, all=False)
        if not caught:
            return
        number = self.caught or signal.SIGTERM
        self.latest.save(trainer)
        if trainer.is_global_zero and "SLURM_JOB_ID" in os.environ and number != signal.SIGTERM:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
        raise Interrupted(number, step)
