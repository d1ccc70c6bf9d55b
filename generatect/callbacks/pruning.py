"""Tells a search how a trial gets on, and gives it up where the search says so."""

import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
from optuna import load_study
from optuna.trial import Trial

from generatect.callbacks.steps import steps_done
from generatect.errors import InputError
from generatect.tuning.study import NAME, PRUNED_AT, open_storage, pruner


class Pruning(L.Callback):
    """Reports a metric after every validation; the training of a trial that is given up ends like any other.

    Args:
        folder: of the search.
        trial: number of the trial in its study.
        metric: what is reported.
        prune_after: trials that must have come as far before one is given up; None gives up none.
    """

    def __init__(self, *, folder: str, trial: int, metric: str, prune_after: int | None) -> None:
        self.metric, self.parent = metric, os.getppid()
        storage = open_storage(Path(folder))
        study = load_study(study_name=NAME, storage=storage, pruner=pruner(prune_after))
        study_id = storage.get_study_id_from_name(NAME)
        self.trial = Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, trial))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends, saved, a training whose search was killed: the same search will take it up again."""
        if trainer.is_global_zero and os.getppid() != self.parent:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reports; of several processes the first does, and all end together.

        Raises:
            InputError: the training does not log the metric.
        """
        if trainer.sanity_checking:
            return
        if self.metric not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise InputError(f"metric={self.metric}: the training logs no such metric; known: {known}")
        step = steps_done(trainer)
        give_up = False
        if trainer.is_global_zero:
            self.trial.report(float(trainer.callback_metrics[self.metric]), step)
            if step < int(trainer.limit_train_batches) and self.trial.should_prune():
                self.trial.set_user_attr(PRUNED_AT, step)
                give_up = True
        if trainer.strategy.broadcast(give_up):
            trainer.should_stop = True
        if give_up:
            print(f"given up after step {step}: worse than the median of the other trials")
