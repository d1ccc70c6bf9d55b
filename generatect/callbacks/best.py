"""The checkpoints with the best values of a metric."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from generatect.callbacks.latest import latest_of
from generatect.callbacks.steps import steps_done
from generatect.checkpoints.durable import remove_unfinished
from generatect.checkpoints.resume import RUN_KEY
from generatect.checkpoints.safe_load import load_tensors
from generatect.config.check import did_you_mean
from generatect.errors import InputError


class Best(Checkpoint):
    """Keeps the checkpoints of the best few validations, as `step-0000250-val-loss-0.0123.ckpt`.

    The folder itself is the memory, for a run may be killed after it has written one of them and before it has written
    that down anywhere: names tell step and value, and what is in a file tells its run. Those of another run or another
    metric stay untouched.

    Args:
        folder: where they are kept.
        monitor: any metric that the training logs.
        mode: "min" or "max", what is better.
        keep: how many.
        every: batches from one look at the metric to the next, in a run without validation.

    Raises:
        InputError: another mode, or a number out of its range.
    """

    def __init__(self, *, folder: str, monitor: str, mode: str = "min", keep: int = 3, every: int = 1) -> None:
        if mode not in ("min", "max"):
            raise InputError(f"callbacks.checkpoint.mode={mode}: expected min or max")
        for key, value, least in (("keep", keep, 0), ("every", every, 1)):
            if value < least:
                raise InputError(f"callbacks.checkpoint.{key}={value}: expected at least {least}")
        self.folder, self.monitor, self.mode, self.keep, self.every = Path(folder), monitor, mode, keep, every
        self.kept: dict[Path, float] = {}
        self._metric = monitor.replace("/", "-")
        self._sign = 1 if mode == "min" else -1

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Clears away what a killed run has left half written."""
        if trainer.is_global_zero:
            remove_unfinished(self.folder)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks which ones a resumed run has."""
        self.kept = trainer.strategy.broadcast(self._of_this_run(trainer) if trainer.is_global_zero else {})
        self._remove_worst(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Looks at the metric where no validation will."""
        if sum(trainer.num_val_batches) == 0 and (batch_idx + 1) % self.every == 0:
            self._look(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at the metric; by now averaged weights have left the place of the trained ones."""
        if not trainer.sanity_checking:
            self._look(trainer)

    def _look(self, trainer: L.Trainer) -> None:
        value = trainer.strategy.broadcast(self._value(trainer.callback_metrics))  # processes see different batches
        path = self.folder / f"step-{steps_done(trainer):07d}-{self._metric}-{value:.6g}.ckpt"
        self.kept.pop(path, None)  # of a step that a resumed run repeats
        rank = sum(self._sign * other <= self._sign * value for other in self.kept.values())
        if not math.isfinite(value) or rank >= self.keep:
            return
        trainer.save_checkpoint(path, weights_only=False)
        self.kept[path] = value
        self._remove_worst(trainer)

    def _value(self, metrics: Mapping[str, Any]) -> float:
        if self.monitor not in metrics:
            raise InputError(
                f"callbacks.checkpoint.monitor={self.monitor}: the training logs no such metric, "
                f"{did_you_mean(self.monitor, list(metrics))}"
            )
        return float(metrics[self.monitor])

    def _remove_worst(self, trainer: L.Trainer) -> None:
        """The earlier of equals stays."""
        best_first = sorted(self.kept, key=lambda path: (self._sign * self.kept[path], path.name))
        for path in best_first[self.keep :]:
            del self.kept[path]
            trainer.strategy.remove_checkpoint(path)

    def _of_this_run(self, trainer: L.Trainer) -> dict[Path, float]:
        latest, found = latest_of(trainer), {}
        for path in self.folder.glob("step-*.ckpt"):
            name = re.fullmatch(rf"step-\d+-{re.escape(self._metric)}-(-?\d[\d.e+-]*)\.ckpt", path.name)
            if name and latest is not None and _run_of(path) == latest.run:
                found[path] = float(name[1])
        return found


def _run_of(path: Path) -> str | None:
    """Name of the run that a file says it is of; one that cannot be read is nobody's."""
    try:
        return load_tensors(path).get(RUN_KEY)
    except (ValueError, OSError):
        return None
