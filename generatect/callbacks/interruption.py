"""A run that is told to end saves where it is, and ends."""

import os
import signal
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint

from generatect.callbacks.latest import Latest, latest_of
from generatect.callbacks.steps import steps_done
from generatect.signals import Interrupted, caught, end_at_safe_points


class Interruption(Checkpoint):  # Lightning calls these after all others, which have then done their part
    """On SIGTERM, SIGUSR1 or SIGUSR2 saves at the next safe point and raises `Interrupted`.

    A safe point is the end of a batch, in training or validation; the signal handler only takes note. SLURM announces
    the end of a job's time by a signal (`#SBATCH --signal=USR1@120`); the job is then put back into the queue.

    Args:
        path: the checkpoint, as `Latest` writes it.
    """

    def __init__(self, *, path: str) -> None:
        self.latest = Latest(path=path, every=1)
        self._parent, self._is_training = os.getppid(), False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """There will be something to save."""
        end_at_safe_points()
        self._is_training = True
        own = latest_of(trainer)
        if own is not None and own.path == self.latest.path:
            self.latest = own

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the run if it shall end."""
        self._end(trainer)

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
        self._end(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Before there is a safe point, the processes that train together hear of a signal from each other."""
        if self._is_training or not isinstance(exception, Interrupted) or trainer.world_size == 1:
            return
        if not isinstance(trainer.strategy.cluster_environment, LightningEnvironment):
            return  # SLURM and torchrun look after the others
        if trainer.is_global_zero:
            trainer.strategy.launcher.kill(exception.signal)
        elif os.getppid() == self._parent:
            os.kill(self._parent, exception.signal)

    def _end(self, trainer: L.Trainer) -> None:
        number = caught() or 0
        if trainer.world_size > 1:  # one process's signal ends all of them at the same batch
            noted = torch.tensor(number, device=trainer.strategy.root_device)
            number = int(trainer.strategy.reduce(noted, reduce_op="max"))
        if number == 0:
            return
        step = steps_done(trainer)
        if self.latest.step != step:
            self.latest.save(trainer)
        name = signal.Signals(number).name
        raise Interrupted(number, f"saved {self.latest.path}: {name} after step {step}")
