"""Where a training is, and numbers that belong there: one meaning of "step", a batch."""

from collections.abc import Mapping

import lightning as L


def steps_done(trainer: L.Trainer) -> int:
    """Training batches that the weights have seen."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.processed


def is_logged(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether numbers of this batch reach the loggers."""
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by the logger connector
    return every > 0 and (batch_idx + 1) % every == 0


def log_numbers(trainer: L.Trainer, values: Mapping[str, float]) -> None:
    """Hands numbers to the loggers as they are; what a module logs is rounded to fp32 and repeated until replaced."""
    for logger in trainer.loggers:
        logger.log_metrics(dict(values), step=trainer.fit_loop.epoch_loop._batches_that_stepped)


def say(trainer: L.Trainer, line: str) -> None:
    """Prints a line above the progress bar, in the first process."""
    if trainer.is_global_zero:
        bar = trainer.progress_bar_callback
        (bar.print if bar is not None and bar.is_enabled else print)(line)
