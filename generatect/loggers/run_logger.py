"""What loggers of ours have in common: they belong to a run, and count steps as the terminal does."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from generatect.loggers.run import Run


class RunLogger(Logger):
    """A logger that goes on with its run.

    Lightning counts the batch at hand from 0; what we write is the number of batches done, from 1. Of several processes
    the first writes.
    """

    run: Run | None = None

    @property
    def name(self) -> str:
        """Of the project."""
        return "generatect"

    @property
    def version(self) -> str | None:
        """Id of the run, whose end the progress bar shows; None before it has begun."""
        return None if self.run is None else self.run.id

    def begin(self, run: Run, steps_done: int) -> None:
        """Opens the run's log; in a resumed run, so that what follows `steps_done` is logged once.

        Called by the first process alone.
        """
        self.run = run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Takes numbers of Lightning's `step`."""
        assert step is not None, "metrics belong to a step"
        values = {key: value for key, value in metrics.items() if key != "epoch"}  # a run is one endless epoch
        if self.run is not None and values:
            self.write(values, step + 1)

    @abstractmethod
    def write(self, values: dict[str, float], steps_done: int) -> None:
        """Keeps numbers by name."""

    def log_picture(self, key: str, path: Path, caption: str, steps_done: int) -> None:
        """Takes a picture that lies on the disk."""

    def log_table(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], private: Sequence[str], steps_done: int
    ) -> None:
        """Takes a table; its `private` columns may name a patient or quote a report."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run's settings came with `begin`."""
