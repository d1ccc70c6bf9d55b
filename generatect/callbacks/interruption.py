"""A run that is told to end saves where it is, and ends."""

import os
import signal
import sys
import threading
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint

from generatect.callbacks.latest import Latest, latest_of
from generatect.callbacks.steps import steps_done
from generatect.config.lacks import what_is_lacking
from generatect.signals import Interrupted, caught, end_at_safe_points


class Interruption(Checkpoint):  # Lightning calls these after all others, which have then done their part
    """Save at the next safe point after a signal, Ctrl-C included, and raise `Interrupted`.

    A safe point is the end of a batch, in training or validation; the signal handler only takes note. SLURM announces
    the end of a job's time by a signal (`#SBATCH --signal=USR1@120`); the job is then put back into the queue.

    Args:
        path: the checkpoint, as `Latest` writes it.
    """

    def __init__(self, *, path: str) -> None:
        self.latest = Latest(path=path, every=1)
        self._parent, self._is_training, self._is_between_batches = os.getppid(), False, False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """There will be something to save."""
        end_at_safe_points()
        self._is_training = True
        own = latest_of(trainer)
        if own is not None and own.path == self.latest.path:
            self.latest = own

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """From now on until its end nothing can be saved that a run could go on from.

        So the death of a worker has time until the next batch is asked for: torch would raise it in the middle of this.
        """
        self._is_between_batches = False
        if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends the run if it shall end."""
        self._is_between_batches = True
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
        """Saves what a lack of the machine between two batches leaves whole, such as the death of a worker.

        Before there is a safe point, the processes that train together hear of a signal from each other.
        """
        if self._is_training and self._is_between_batches and trainer.world_size == 1 and what_is_lacking(exception):
            self._save(trainer)
            print(f"saved {self.latest.path}; the same command with resume=auto goes on", file=sys.stderr)
        if self._is_training or not isinstance(exception, Interrupted) or trainer.world_size == 1:
            return
        if not isinstance(trainer.strategy.cluster_environment, LightningEnvironment):
            return  # SLURM and torchrun look after the others
        # The terminal has sent its Ctrl-C to all of them, and a second one would be taken for somebody's impatience.
        number = signal.SIGTERM if exception.signal == signal.SIGINT else exception.signal
        if trainer.is_global_zero:
            trainer.strategy.launcher.kill(number)
        elif os.getppid() == self._parent:
            os.kill(self._parent, number)

    def _end(self, trainer: L.Trainer) -> None:
        number = caught() or 0
        if trainer.world_size > 1:  # one process's signal ends all of them at the same batch
            noted = torch.tensor(number, device=trainer.strategy.root_device)
            number = int(trainer.strategy.reduce(noted, reduce_op="max"))
        if number == 0:
            return
        step = self._save(trainer)
        name = signal.Signals(number).name
        raise Interrupted(number, f"saved {self.latest.path}: {name} after step {step}")

    def _save(self, trainer: L.Trainer) -> int:
        step = steps_done(trainer)
        if self.latest.step != step:
            self.latest.save(trainer)
        return step
