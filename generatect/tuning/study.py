"""The memory of a search: an Optuna study in an append-only file that a kill cannot spoil.

Several processes may search in one folder. Each trial is locked by the processes that run it; the lock of a process
that died is free, and so its trial is known to be lost.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from generatect.errors import InputError

JOURNAL, NAME = "study.journal", "generatect"
FOLDER, PRUNED_AT = "folder", "pruned_at"
"""What a trial remembers: number of its folder, and the step after which it was given up."""


def open_storage(folder: Path) -> JournalStorage:
    """The journal of a search; many processes may read and write it."""
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def pruner(prune_after: int | None) -> BasePruner:
    """Gives up a trial whose best value so far is worse than the median of `prune_after` or more others by then."""
    return NopPruner() if prune_after is None else MedianPruner(n_startup_trials=prune_after)


class Search:
    """The trials of one folder.

    Args:
        folder: of the search.
        settings: what must be the same to go on with it.
        space: what varies.
        direction: "minimize" or "maximize".
        sampler_seed: of the draws.

    Raises:
        InputError: the folder holds another search.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        space: dict[str, BaseDistribution],
        direction: Literal["minimize", "maximize"],
        sampler_seed: int,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.space, self.sampler_seed = folder, space, sampler_seed
        with self._alone():
            self.study = optuna.create_study(
                storage=open_storage(folder), study_name=NAME, direction=direction, load_if_exists=True
            )
            known, wanted = self.study.user_attrs.get("settings"), json.loads(json.dumps(settings))
            if known is not None and known != wanted:
                different = next(key for key in wanted if known.get(key) != wanted[key])
                raise InputError(
                    f"output={folder}: holds a search with another {different}, {str(known.get(different))[:200]}; the "
                    "same command goes on with it, another output starts anew"
                )
            self.study.set_user_attr("settings", wanted)

    def begin(self, num_trials: int) -> tuple[Trial, Path, IO[str]] | None:
        """The next trial, its folder, and its lock, to be held as long as anything runs in it; None after the last.

        A trial whose process died is begun again in its own folder, before a new one is drawn.
        """
        with self._alone():
            self._recover_lost()
            trials = self.study.get_trials(deepcopy=False)
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if not waiting and len(self.begun()) >= num_trials:
                return None
            # A function of seed and number: a search that was broken off draws on as it would have done.
            self.study.sampler = TPESampler(seed=self.sampler_seed + len(self.begun()))
            number = len(self.begun())
            trial = self.study.ask(fixed_distributions=self.space)
            number = trial.user_attrs.get(FOLDER, number)
            trial.set_user_attr(FOLDER, number)
            lock = self._lock(number)
            assert lock is not None, "a new trial is nobody else's"
            return trial, self.folder / str(number), lock

    def begun(self) -> set[int]:
        """Folders of all trials there have been."""
        return {
            trial.user_attrs[FOLDER] for trial in self.study.get_trials(deepcopy=False) if FOLDER in trial.user_attrs
        }

    def best(self) -> FrozenTrial | None:
        """The best of the trials that ran to their end."""
        finished = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return self.study.best_trial if finished else None

    def _recover_lost(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            number = trial.user_attrs.get(FOLDER)
            lock = None if number is None else self._lock(number)
            if number is not None and lock is None:
                continue  # somebody runs it
            if number is not None:
                self.study.enqueue_trial(trial.params, user_attrs={FOLDER: number})
            self.study.tell(trial.number, state=TrialState.FAIL)
            if lock is not None:
                lock.close()

    def _lock(self, number: int) -> IO[str] | None:
        import fcntl  # there is none on Windows, where everything but sweeps and searches works

        path = self.folder / str(number) / ".trial.lock"  # the training itself holds ".lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".search.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
