"""Signals that tell a training to end, and who answers them.

SIGTERM comes from whoever wants the machine back; SIGUSR1 and SIGUSR2 from SLURM, ahead of the end of a job's time.
Before its first batch a training has nothing to save and ends at once; from then on a signal is noted, and the callback
`Interruption` ends the training at the next safe point.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import ParamSpec

from lightning.pytorch.utilities import rank_zero_only

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Those that end a training."""

Arguments = ParamSpec("Arguments")


class Interrupted(BaseException):
    """A signal ended the training; no `Exception`, so that nothing on its way takes it for a failure of its own.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(f"{what}; the same command with resume=auto goes on")
        self.signal = number


class _Notes:
    """What the handler of signals knows: a process has one."""

    caught: int | None = None
    at_once: bool = True

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """The handler; the first signal counts."""
        if self.caught is not None:
            return
        self.caught = number
        if self.at_once:
            raise Interrupted(number, f"{signal.Signals(number).name} before the first step")


_notes = _Notes()


def caught() -> int | None:
    """The signal that has told this process to end, if one has."""
    return _notes.caught


def end_at_safe_points() -> None:
    """From now on signals are noted alone. Takes them over from Lightning, which has its own ideas: one owner."""
    _notes.at_once = False
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            signal.signal(number, _notes.take)


def ended_by_signals(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Makes a signal end `function` with one line and exit code 128 + its number, as a shell reports it.

    A job of SLURM whose time is over is put back into the queue.
    """

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            with _signals_taken():
                function(*args, **kwargs)
        except Interrupted as interrupted:
            if rank_zero_only.rank != 0:  # its launcher would kill the first process, which may be at work still
                sys.exit(0)
            print(interrupted, file=sys.stderr)
            _requeue(interrupted.signal)
            sys.exit(128 + interrupted.signal)

    return run


def leave_to_parent(worker: int = 0) -> None:
    """In a worker process: a signal to the whole group does not end it before the parent has saved.

    Only where the parent itself ends its worker does it end. For `DataLoader(worker_init_fn=…)`.

    Args:
        worker: its number.
    """
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while signal.sigwaitinfo(ENDING).si_pid != parent:
        pass
    os._exit(0)


def _requeue(number: int) -> None:
    """SIGTERM is how SLURM itself pre-empts, and how people cancel: it does with the job as it likes."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or number == signal.SIGTERM:
        return
    try:
        result = subprocess.run(["scontrol", "requeue", job], check=False, capture_output=True, text=True)
        reason = " ".join(result.stderr.split()) if result.returncode else None
    except OSError as error:
        reason = str(error.strerror)
    said = f"job {job} is back in the queue" if reason is None else f"scontrol requeue {job} failed ({reason})"
    print(said, file=sys.stderr)


@contextlib.contextmanager
def _signals_taken() -> Iterator[None]:
    """Handlers that end at once, and afterwards those that were there; a process on its way out needs no others."""
    _notes.caught, _notes.at_once = None, True
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    before = {number: signal.signal(number, _notes.take) for number in ENDING}
    try:
        yield
    except Interrupted:
        raise
    except BaseException:
        _give_back(before)
        raise
    _give_back(before)


def _give_back(handlers: dict) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # as of one that is not Python's
            signal.signal(number, handler)
