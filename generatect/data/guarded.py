"""Runs a reader of untrusted files where it can do no harm: in a process of its own, with limits on memory and time."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from generatect.errors import InputError
from generatect.signals import deaf_children

MEMORY_BYTES = 4 << 30
TIMEOUT_S = 600.0
PROTOCOL = 5
"""Of pickle: from this one on, arrays go into the pipe and come out of it without a copy."""

# Not multiprocessing: its processes import the command's own module anew, and with it all of torch.
_CHILD = "from generatect.data.guarded import serve; serve()"

Result = TypeVar("Result")


def run_guarded(
    function: Callable[..., Result],
    *args: object,
    name: object = None,
    memory_bytes: int = MEMORY_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> Result:
    """`function(*args)`, computed in a fresh process.

    Args:
        function: of the top level of a module that can be imported.
        args: what can be pickled.
        name: the file or folder to name in errors; None: the first of `args`.
        memory_bytes: what the function may take beyond the modules it comes with; only Linux enforces it.
        timeout_s: when the process is killed, counted from its start.

    Raises:
        InputError: the function's own; or it took too long or too much memory, or crashed.
        RuntimeError: the function raised something else, which is a bug; with the trace of the process.
    """
    outcome, value, late, returncode = _ask(function, args, memory_bytes, timeout_s)
    name = [*args, function.__name__][0] if name is None else name
    match outcome:
        case "result":
            return value
        case "refused":
            raise InputError(value)
        case "failed":
            raise RuntimeError(f"{name}: its reader failed\n{value}")
        case "memory":
            how = f"needed more than {memory_bytes / 1e9:.3g} GB"
        case _:
            how = f"took more than {timeout_s:g} s" if late else f"crashed the reader ({_ending(returncode)})"
    raise InputError(f"{name}: reading it {how}; the file is damaged or too large")


def serve() -> None:
    """The child's side: a task comes in by stdin, its outcome goes out by what was stdout."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the function prints is not part of the answer
    outcome = _outcome()
    with answers:
        pickle.dump(outcome, answers, PROTOCOL)


def _ask(function: Callable, args: tuple, memory_bytes: int, timeout_s: float) -> tuple[str, Any, bool, int]:
    """Outcome, its value, whether time ran out, and the process's exit status."""
    late = threading.Event()
    with deaf_children():  # a volume whose reader died of a Ctrl-C would be taken for damaged
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders print there
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )
    with child as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            with process.stdin:
                pickle.dump((memory_bytes, function, args), process.stdin, PROTOCOL)
            outcome, value = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):  # it ended before its answer did
            outcome, value = "died", None
        finally:
            timer.cancel()
            process.kill()
    return outcome, value, late.is_set(), process.returncode


def _outcome() -> tuple[str, Any]:
    try:
        memory_bytes, function, args = pickle.load(sys.stdin.buffer)
        _limit_memory(memory_bytes)
        return "result", function(*args)
    except InputError as error:
        return "refused", str(error)
    except MemoryError:
        return "memory", None
    except Exception:
        return "failed", traceback.format_exc()


def _limit_memory(memory_bytes: int) -> None:
    """Forbids more address space than this beyond what is mapped by now, which libraries with threads make large."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would be a copy of the patient
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = mapped + memory_bytes if hard == resource.RLIM_INFINITY else min(mapped + memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _ending(returncode: int) -> str:
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"exit status {returncode}"
