"""One thing at a time: a bounded queue of work, done by one thread that can be told to stop.

A thread and not a process: the networks are loaded once, and every step reports here, so that a cancelled job ends
within the step it is in. Files are written whole or not at all, so that nothing is left of one that ends early.
"""

import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from generatect.config.one_line import one_line
from generatect.errors import InputError
from generatect.progress import duration

MAX_KEPT = 30
"""Jobs that have ended and are still told about."""


class FullError(InputError):
    """The queue is full."""


class CancelledError(Exception):
    """Raised inside a job that the user has cancelled."""


@dataclass(eq=False)
class Job:
    """One piece of work, and what it says while it runs.

    Attributes:
        kind: "generate" or "reconstruct".
        title: the report, or what is reconstructed.
        settings: seed, steps and the like, to show.
        work: does it, reports to this job and returns the id of the volume made.
        expected: stages → seconds that they are expected to take; empty while that is not known.
        state: "waiting", "running", "done", "cancelled" or "failed".
        stages: what is being done → (units done, units in all), in the order in which they began.
        error: one sentence, where it failed.
        volume: id of the volume made.
        picture: PNG of how far it is.
        num_pictures: changes with the picture.
    """

    kind: str
    title: str
    settings: dict[str, Any]
    work: Callable[["Job"], str]
    expected: Callable[[], dict[str, float]] = dict
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: str = "waiting"
    stages: dict[str, tuple[int, int]] = field(default_factory=dict)
    error: str | None = None
    volume: str | None = None
    picture: bytes | None = None
    num_pictures: int = 0
    started: float | None = None
    ended: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def progress(self, label: str, done: int, total: int) -> None:
        """Reports how far a stage is; see `generatect.progress.Progress`.

        Raises:
            CancelledError: the job is to end here.
        """
        self.go_on()
        self.stages[label] = (done, total)

    def show(self, picture: bytes) -> None:
        """Keeps a PNG of how far it is."""
        self.picture = picture
        self.num_pictures += 1

    def go_on(self) -> None:
        """Does nothing.

        Raises:
            CancelledError: the job is to end here.
        """
        if self.stop.is_set():
            raise CancelledError

    def described(self) -> dict[str, Any]:
        """What the page shows."""
        seconds = None if self.started is None else (self.ended or time.monotonic()) - self.started
        stages = list(self.stages.items())  # at one blow: the worker begins another one meanwhile
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "settings": self.settings,
            "state": self.state,
            "stopping": self.stop.is_set() and self.state == "running",
            "stages": [{"label": label, "done": done, "total": total} for label, (done, total) in stages],
            "error": self.error,
            "volume": self.volume,
            "pictures": self.num_pictures,
            "seconds": seconds,
            "left": None if seconds is None or self.state != "running" else self._left(seconds, stages),
        }

    def _left(self, seconds: float, stages: list[tuple[str, tuple[int, int]]]) -> str | None:
        """How long it will still take: at the pace of what is done, once that is a tenth."""
        expected = self.expected()
        if not expected:
            return None
        total = sum(expected.values())
        done = sum(expected.get(label, 0) * part / whole for label, (part, whole) in stages)
        return duration((total - done) * (seconds / done if done >= total / 10 else 1))


class Jobs:
    """The queue and its one worker.

    Args:
        max_waiting: jobs that may wait behind the one that runs.
        prepare: what the worker does before its first job.
    """

    def __init__(self, max_waiting: int, prepare: Callable[[], None]) -> None:
        self.max_waiting, self.prepare = max_waiting, prepare
        self.jobs: list[Job] = []
        self.changed = threading.Condition()
        self.closed = False
        self.thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self.thread.start()

    def submit(self, job: Job) -> None:
        """Puts a job at the end of the queue.

        Raises:
            FullError: as many jobs wait as may.
        """
        with self.changed:
            num_open = sum(other.state in ("waiting", "running") for other in self.jobs)
            if num_open > self.max_waiting:
                raise FullError(
                    f"The queue is full: one job runs and {self.max_waiting} wait; cancel one or try again later."
                )
            ended = [other for other in self.jobs if other.state not in ("waiting", "running")]
            for old in ended[: max(0, len(ended) - MAX_KEPT)]:
                self.jobs.remove(old)
            self.jobs.append(job)
            self.changed.notify_all()

    def find(self, job_id: str) -> Job | None:
        """The job of that id."""
        with self.changed:
            return next((job for job in self.jobs if job.id == job_id), None)

    def cancel(self, job: Job) -> None:
        """Ends a job: at once where it waits, within its step where it runs."""
        with self.changed:
            job.stop.set()
            if job.state == "waiting":
                job.state = "cancelled"

    def listing(self) -> list[Job]:
        """Jobs in the order in which they came."""
        with self.changed:
            return list(self.jobs)

    def close(self) -> None:
        """Cancels everything; the worker ends within its step."""
        with self.changed:
            self.closed = True
            for job in self.jobs:
                job.stop.set()
            self.changed.notify_all()

    def _work(self) -> None:
        try:
            self.prepare()
        except Exception:  # the jobs will say for themselves what is wrong
            traceback.print_exc(file=sys.stderr)
        while (job := self._next()) is not None:
            try:
                job.volume = job.work(job)
                state = "done"
            except CancelledError:
                state = "cancelled"
            except (InputError, OSError) as error:
                state, job.error = "failed", one_line(error)
            except Exception as error:  # the page lives on, and says so
                traceback.print_exc(file=sys.stderr)
                state, job.error = "failed", f"It broke off ({type(error).__name__}); the terminal says more."
            with self.changed:
                job.ended = time.monotonic()  # its last picture stays: the page may just be asking for it
                job.state = state

    def _next(self) -> Job | None:
        """The next job, waited for; None when there will be none."""
        with self.changed:
            while not self.closed:
                for job in self.jobs:
                    if job.state == "waiting":
                        job.state, job.started = "running", time.monotonic()
                        return job
                self.changed.wait()
        return None
