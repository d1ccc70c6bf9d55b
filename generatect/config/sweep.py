"""What became of the jobs of a sweep or a search: one record a job, one CSV of all of them.

Jobs may run in other processes and on other machines, so each writes a file of its own; the CSV is made from those.
"""

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from generatect.config.scores import SCORES, read_scores
from generatect.data.safe_csv import write_csv
from generatect.errors import InputError
from generatect.files import atomic_path
from generatect.progress import duration

RECORD, SUMMARY = "job.json", "sweep.csv"
SHARD_KEY = "shard.index"
DONE, FAILED, INTERRUPTED, RUNNING, PRUNED = "done", "failed", "interrupted", "running", "pruned"
GOES_ON_BY = {"steps", "resume", "fresh"}
"""Settings that the same job may have otherwise when it goes on, or starts anew."""


@dataclass
class JobRecord:
    """One job.

    Attributes:
        number: its place in the sweep, and the name of its folder.
        overrides: its settings, as on a command line.
        status: done, failed, interrupted, pruned or running.
        reason: in one line why it is not done.
        steps: training batches asked for; None where the command has none.
        seconds: wall clock, those of earlier attempts included.
        output: its folder.
        steps_done: training batches done.
        best_step: after which the validation was best.
        best: metrics of that validation.
        final: last value of every metric.
    """

    number: int
    overrides: list[str]
    status: str = RUNNING
    reason: str = ""
    steps: int | None = None
    seconds: float = 0.0
    output: str = ""
    steps_done: int | None = None
    best_step: int | None = None
    best: dict[str, float] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)

    def is_same_job(self, overrides: list[str]) -> bool:
        """Whether these settings are its own, the number of steps apart; their order does not matter."""
        return sorted(_identity(self.overrides)) == sorted(_identity(overrides))

    @property
    def has_trained(self) -> bool:
        """Whether there is something to go on from."""
        return self.status == DONE or self.steps_done is not None

    def add_scores(self, metric: str = "val/loss", direction: str = "minimize") -> None:
        """Takes over what the job's training has written."""
        scores = read_scores(Path(self.output) / SCORES)
        self.final, self.steps_done = scores.final, scores.steps or None
        found = scores.best(metric, direction)
        if found is not None:
            self.best_step, self.best = found

    def write(self) -> None:
        """Writes `OUTPUT/job.json`."""
        with atomic_path(Path(self.output) / RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def fills_one_output(overrides: list[str]) -> bool:
    """Whether a job is one shard of a dataset: all jobs of such a sweep write into its folder."""
    return any(text.partition("=")[0] == SHARD_KEY for text in overrides)


def jobs_folder(output: str, one_output: bool) -> Path:
    """Where the jobs of a sweep have their folders, and where their summary lies; `output` unless they share that."""
    folder = Path(output).expanduser()
    return folder / "shards" if one_output else folder


def read_record(folder: Path) -> JobRecord | None:
    """The record in a job's folder; None where there is none that can be read."""
    try:
        return JobRecord(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_records(folder: Path) -> list[JobRecord]:
    """The records of all jobs below a sweep's folder, in order."""
    found = [read_record(path.parent) for path in folder.glob(f"*/{RECORD}")]
    return sorted((record for record in found if record is not None), key=lambda record: record.number)


def write_summary(folder: Path) -> list[JobRecord]:
    """Writes `FOLDER/sweep.csv`, one row a job, and returns the records. Several processes may do so at a time."""
    with _locked(folder / f".{SUMMARY}.lock"):
        records = read_records(folder)
        columns = [
            (kind, metric)
            for kind in ("final", "best")
            for metric in sorted({metric for record in records for metric in getattr(record, kind)})
        ]
        header = ["number", "status", "overrides", "reason", "steps", "seconds", "output", "best_step"]
        header += [f"{kind} {metric}" for kind, metric in columns]
        rows = [[*_cells(r), *(getattr(r, kind).get(metric) for kind, metric in columns)] for r in records]
        write_csv(folder / SUMMARY, header, rows)
    return records


def refuse_other_sweep(folder: Path, jobs: list[list[str]]) -> None:
    """Refuses a sweep whose job 3 would go on from the checkpoint of another sweep's job 3.

    Args:
        folder: of the sweep.
        jobs: overrides of each.

    Raises:
        InputError: naming the first such job.
    """
    for number, overrides in enumerate(jobs):
        record = read_record(folder / str(number))
        if record is not None and record.has_trained and not record.is_same_job(overrides):
            raise InputError(
                f"output={folder}: job {number} there is another one, {shlex.join(record.overrides)[:200]}; the same "
                "command goes on with a sweep, another output starts anew"
            )


def finish_sweep(folder: Path) -> bool:
    """Writes the summary of a sweep and prints it as a table; whether every job was done.

    A job that no process has finished is one that was killed: whoever runs it still will say otherwise.
    """
    for record in read_records(folder):
        if record.status == RUNNING:
            record.status, record.reason = INTERRUPTED, "its process ended without a word; run the same command again"
            record.add_scores()
            record.write()
    records = write_summary(folder)
    if records:
        print_table(records, folder)
    return bool(records) and all(record.status == DONE for record in records)


def print_table(records: list[JobRecord], folder: Path, metric: str = "val/loss") -> None:
    """What became of the jobs, with the settings in which they differ, and where the CSV lies."""
    table = Table(title=str(folder / SUMMARY), title_justify="left", box=None, pad_edge=False)
    for column in ("job", "status", "settings", f"best {metric}", "at step", "time", "reason"):
        table.add_column(column, overflow="fold")
    shared = set.intersection(*(set(record.overrides) for record in records)) if len(records) > 1 else set()
    for record in records:
        differing = [override for override in record.overrides if override not in shared]
        settings = " ".join(_short(override) for override in differing)
        best = f"{record.best[metric]:.5g}" if metric in record.best else ""
        at = "" if record.best_step is None else str(record.best_step)
        table.add_row(str(record.number), record.status, settings, best, at, duration(record.seconds), record.reason)
    Console(markup=False, highlight=False).print(table)


def _short(override: str) -> str:
    """`stage.module.optimizer.lr=0.1` as `lr=0.1`."""
    key, equals, value = override.partition("=")
    return f"{key.rpartition('.')[2]}{equals}{value}"


def _identity(overrides: list[str]) -> list[str]:
    return [text for text in overrides if text.lstrip("+").partition("=")[0] not in GOES_ON_BY]


def _cells(record: JobRecord) -> list[Any]:
    overrides = shlex.join(record.overrides)
    steps = record.steps if record.steps_done is None else record.steps_done
    where = (f"{record.seconds:.1f}", record.output, record.best_step)
    return [record.number, record.status, overrides, record.reason, steps, *where]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # where there is none, on Windows, everything but sweeps still works

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # gone with the process, however it ends
        yield
