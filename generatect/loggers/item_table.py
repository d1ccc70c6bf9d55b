"""A validation's table: one row for each item, on the disk and at every logger."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.loggers import Logger

from generatect.data.safe_csv import write_csv
from generatect.loggers.run_logger import RunLogger

PRIVATE = ("name", "prompt")
"""Columns that may name a patient or quote a report."""


class Item(NamedTuple):
    """A row.

    Attributes:
        name: of the volume.
        prompt: its report.
        values: metrics by name, the same names in every row.
    """

    name: str
    prompt: str
    values: dict[str, float]


def write_items(items: Sequence[Item], path: Path, loggers: Sequence[Logger], steps_done: int) -> None:
    """Writes `path` and hands the table to loggers of ours, which leave private columns out unless told otherwise.

    Args:
        items: at least one, in the order of the validation set.
        path: the CSV.
        loggers: of the trainer.
        steps_done: batches trained so far.
    """
    columns = ["item", *PRIVATE, *items[0].values]
    rows: list[list[Any]] = [
        [number, item.name, item.prompt, *item.values.values()] for number, item in enumerate(items)
    ]
    write_csv(path, columns, rows)
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.log_table("tables/validation", columns, rows, PRIVATE, steps_done)
