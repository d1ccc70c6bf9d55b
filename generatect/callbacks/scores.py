"""Keeps what the validations find, for sweeps, searches and people."""

from pathlib import Path

import lightning as L

from generatect.callbacks.steps import steps_done
from generatect.config.scores import Scores, read_scores


class ScoreKeeper(L.Callback):
    """Writes the metrics of every validation, and at the end the last of all, to a small JSON file.

    Args:
        path: the file.
    """

    def __init__(self, *, path: str) -> None:
        self.path, self.scores = Path(path), Scores()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A resumed run keeps the validations that lie before it."""
        if trainer.ckpt_path is not None:
            before, step = read_scores(self.path), steps_done(trainer)
            self.scores.validations = {at: found for at, found in before.validations.items() if at <= step}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adds a validation."""
        if not trainer.sanity_checking:
            found = {key: value for key, value in _metrics(trainer).items() if key.startswith("val/")}
            self.scores.validations[steps_done(trainer)] = found
            self._write(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adds how the training ended."""
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        self.scores.steps, self.scores.final = steps_done(trainer), _metrics(trainer)
        if trainer.is_global_zero:
            self.scores.write(self.path)


def _metrics(trainer: L.Trainer) -> dict[str, float]:
    return {key: float(value) for key, value in trainer.callback_metrics.items()}
