"""One trial: a training in a process of its own, so that a crash or a lack of memory costs this trial alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from optuna.trial import Trial, TrialState

from generatect.config.sweep import DONE, FAILED, INTERRUPTED, PRUNED, JobRecord, read_record
from generatect.config.words import quoted
from generatect.signals import ENDING
from generatect.tuning.study import PRUNED_AT, Search

LOG = "log.txt"
PATIENCE_S = 300
"""So long a training may take to save after it was told to end."""


class SearchInterrupted(Exception):
    """The search was told to end, and its training has saved.

    Attributes:
        signal: which signal told it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


def run_trial(
    record: JobRecord,
    trial: Trial,
    search: Search,
    lock: IO[str],
    metric: str,
    direction: str,
    prune_after: int | None,
) -> None:
    """Trains, and tells the study and the record what came of it.

    Args:
        record: of the trial; its overrides are those of the training.
        trial: as the study began it.
        search: its study.
        lock: of the trial's folder; closed at the end.
        metric: what is reported.
        direction: whether less or more of it is better.
        prune_after: see `Pruning`.

    Raises:
        SearchInterrupted: the trial is left as lost, and will be taken up again.
    """
    folder = Path(record.output)
    before = read_record(folder)
    record.seconds = 0.0 if before is None else before.seconds
    own = {"folder": quoted(str(search.folder)), "trial": trial.number, "metric": metric, "prune_after": prune_after}
    pruning = {"_target_": "generatect.callbacks.pruning.Pruning", **own}
    added = [f"+callbacks.pruning.{key}={'null' if value is None else value}" for key, value in pruning.items()]
    start = time.monotonic()
    try:
        with lock:
            where = [f"output={quoted(str(folder))}", "resume=auto"]
            code, reason = run_training([*record.overrides, *where, *added], folder, lock)
    except SearchInterrupted as interrupted:
        record.status, record.reason = INTERRUPTED, str(interrupted)
        raise
    finally:
        record.seconds += time.monotonic() - start
        record.add_scores(metric, direction)
    pruned_at = search.study.get_trials(deepcopy=False)[trial.number].user_attrs.get(PRUNED_AT)
    if code == 0 and pruned_at is not None:
        search.study.tell(trial, state=TrialState.PRUNED)
        record.status, record.reason = PRUNED, f"after step {pruned_at} worse than the median of the others"
    elif code == 0 and metric in record.best:
        search.study.tell(trial, record.best[metric])
        record.status = DONE
    else:
        search.study.tell(trial, state=TrialState.FAIL)
        record.status, record.reason = FAILED, reason or f"no validation with a finite {metric}"


def run_training(overrides: list[str], folder: Path, lock: IO[str]) -> tuple[int, str]:
    """Runs `python -m generatect.train OVERRIDES` with its output in FOLDER/log.txt.

    Args:
        overrides: of the training.
        folder: its output.
        lock: an open file that the training holds as well: while it lives, nobody takes it for lost.

    Returns:
        Its exit code, and in one line why it failed; "" where it did not.

    Raises:
        SearchInterrupted: a signal came; the training was given it, and has ended.
    """
    command = [sys.executable, "-m", "generatect.train", *overrides]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / LOG).open("ab") as log, _noting_signals() as caught:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # a Ctrl-C at the terminal reaches the search alone, which passes it on once
        )
        try:
            while process.poll() is None and not caught:
                time.sleep(0.1)
            if caught:
                process.send_signal(signal.SIGTERM)
                deadline = time.monotonic() + PATIENCE_S
                while process.poll() is None and time.monotonic() < deadline and caught.count(signal.SIGINT) < 2:
                    time.sleep(0.1)
        finally:
            process.kill()  # harmless where it has ended
            process.wait()
    if caught:
        raise SearchInterrupted(caught[0])
    return process.returncode, "" if process.returncode == 0 else _reason(folder / LOG, process.returncode)


@contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """Yields a list of the signals that come meanwhile."""
    caught: list[int] = []

    def take_note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    heard = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, take_note) for number in heard}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(log: Path, code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended by {name}" + (", as a machine out of memory does" if code == -signal.SIGKILL else "")
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("generatect.train: ")]
    last = said[-1].removeprefix("generatect.train: ") if said else (lines or [f"ended with code {code}"])[-1]
    return last[:500]
