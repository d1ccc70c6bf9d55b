"""Signals that tell a command to end, and who answers them.

SIGINT is Ctrl-C, SIGHUP a closed terminal; SIGTERM comes from whoever wants the machine back; SIGUSR1 and SIGUSR2 from
SLURM, ahead of the end of a job's time. One that is ignored when the command starts, as `nohup` has it, stays ignored.

A command ends at once: what it writes is whole or absent. So does a training before its first batch; from then on a
signal is noted, and the callback `Interruption` saves and ends the training at the next safe point. Whoever presses
Ctrl-C a second time leaves at once, saved or not.
"""

import contextlib
import functools
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NoReturn, ParamSpec


def _known(*names: str) -> tuple[signal.Signals, ...]:
    """Windows lacks some."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


COMMAND_ENDING = _known("SIGINT", "SIGHUP", "SIGTERM")
"""Those that end any command."""
ENDING = (*COMMAND_ENDING, *_known("SIGUSR1", "SIGUSR2"))
"""Those that end a training."""

Arguments = ParamSpec("Arguments")


class Interrupted(BaseException):
    """A signal ended the command; no `Exception`, so that nothing on its way takes it for a failure of its own.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: int, what: str, then: str = "the same command with resume=auto goes on") -> None:
        super().__init__(f"{what}; {then}")
        self.signal = number


class _Notes:
    """What the handler of signals knows: a process has one."""

    caught: int | None = None
    at_once: Callable[[int], Interrupted] | None = None
    pressed: int = 0
    taken: tuple[int, ...] = ()

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """The handler; the first signal counts, and a second Ctrl-C."""
        if number == signal.SIGINT:
            self.pressed += 1
            if self.pressed > 1:
                _leave()
        _let_go_of_a_closed_terminal()
        if self.caught is not None:
            return
        self.caught = number
        if self.at_once is not None:
            raise self.at_once(number)
        if number == signal.SIGINT and os.isatty(2):
            os.write(2, b"\nCtrl-C: saving after the batch at hand; a second Ctrl-C leaves at once\n")


_notes = _Notes()


def caught() -> int | None:
    """The signal that has told this process to end, if one has."""
    return _notes.caught


def end_at_safe_points() -> None:
    """From now on signals are noted alone. Takes them over from Lightning, which has its own ideas: one owner."""
    _notes.at_once = None
    if threading.current_thread() is threading.main_thread():
        for number in _notes.taken:
            signal.signal(number, _notes.take)


def ended_by_signals(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Makes a signal end the training `function` with one line and exit code 128 + its number, as a shell reports it.

    A job of SLURM whose time is over is put back into the queue.
    """

    def before_the_first_step(number: int) -> Interrupted:
        return Interrupted(number, f"{signal.Signals(number).name} before the first step")

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            with _signals_taken(ENDING, before_the_first_step):
                function(*args, **kwargs)
        except Interrupted as interrupted:
            if not _is_first_process():  # its launcher would kill the first process, which may be at work still
                sys.exit(0)
            _end_with_line(str(interrupted), interrupted.signal)

    return run


@contextlib.contextmanager
def ended_in_one_line(command: str) -> Iterator[None]:
    """Has a signal end whatever is done meanwhile with one line and exit code 128 + its number.

    Args:
        command: its name, for the line.
    """

    def ended(number: int) -> Interrupted:
        what = f"generatect.{command}: ended by {signal.Signals(number).name}, nothing is left half written"
        return Interrupted(number, what, "give the same command again")

    try:
        with _signals_taken(COMMAND_ENDING, ended):
            yield
    except Interrupted as interrupted:
        _end_with_line(str(interrupted), interrupted.signal)


def end_while_importing() -> None:
    """Has Ctrl-C end a command that is still being imported, which takes seconds, with one line in place of a trace."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"generatect: ended by SIGINT before anything began\n")
        os._exit(128 + number)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


def leave_to_parent(worker: int = 0) -> None:
    """In a worker process: a signal to the whole group does not end it before the parent has saved.

    Only where the parent itself ends its worker does it end. For `DataLoader(worker_init_fn=…)`.

    Args:
        worker: its number.
    """
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Holds signals back for a moment; processes that are started meanwhile never hear of them: their parent ends them.

    A Ctrl-C goes to every process of the terminal. A child that died of it would look like one that its work killed.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    while signal.sigwaitinfo(ENDING).si_pid != parent:
        pass
    os._exit(0)


def _leave() -> NoReturn:
    """Ends the process and its workers with no further ado; what it had saved before stays whole."""
    for child in multiprocessing.active_children():
        child.kill()
    if _is_first_process():
        os.write(2, b"left at the second Ctrl-C; what was saved before is whole, and the same command goes on there\n")
    os._exit(128 + signal.SIGINT)


def _let_go_of_a_closed_terminal() -> None:
    """Nobody reads there any more, and a line that cannot be written must not keep a run from being saved."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):  # closed by whoever started us
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


def _end_with_line(line: str, number: int) -> NoReturn:
    print(("\n" if sys.stderr.isatty() else "") + line, file=sys.stderr)  # a progress bar leaves its line open
    _requeue(number)
    sys.exit(128 + number)


def _is_first_process() -> bool:
    """Of those that train together; a command without Lightning is alone."""
    ranks = sys.modules.get("lightning.pytorch.utilities.rank_zero")
    return ranks is None or ranks.rank_zero_only.rank == 0


def _requeue(number: int) -> None:
    """Only the signals by which SLURM announces an end want it; with the others somebody has their own will."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or number in COMMAND_ENDING:
        return
    try:
        result = subprocess.run(["scontrol", "requeue", job], check=False, capture_output=True, text=True)
        reason = " ".join(result.stderr.split()) if result.returncode else None
    except OSError as error:
        reason = str(error.strerror)
    said = f"job {job} is back in the queue" if reason is None else f"scontrol requeue {job} failed ({reason})"
    print(said, file=sys.stderr)


@contextlib.contextmanager
def _signals_taken(numbers: Sequence[int], at_once: Callable[[int], Interrupted]) -> Iterator[None]:
    """Handlers that end at once, and afterwards those that were there; a process on its way out needs no others."""
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    outer = (_notes.at_once, _notes.taken)
    _notes.caught, _notes.pressed, _notes.at_once = None, 0, at_once
    _notes.taken = tuple(number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN)
    before = {number: signal.signal(number, _notes.take) for number in _notes.taken}
    is_ending = False
    try:
        yield
    except BaseException:
        is_ending = _notes.caught is not None
        raise
    finally:
        if not is_ending:
            _notes.at_once, _notes.taken = outer
            for number, handler in before.items():
                if handler is not None:  # as of one that is not Python's
                    signal.signal(number, handler)
