"""Which errors say that the machine lacks something, and what to do about it in one line."""

import errno
import os

WORKERS = "stage.datamodule.num_workers"
_NO_THREADS, _NO_PROCESS = "can't start new thread", f"[Errno {errno.EAGAIN}] {os.strerror(errno.EAGAIN)}"
_NO_LOADER = "Please call `iter(combined_loader)` first"
"""Of Lightning, as it clears up after a loader that could not start: it hides why that was."""
_NO_HOME = "Could not determine home directory"
_NO_MEMORY = ("can't allocate memory", "not enough memory", "std::bad_alloc")
_NO_SHARED_MEMORY = ("shared memory", "Bus error", "file </torch_")


def what_is_lacking(error: BaseException) -> str | None:
    """What the machine lacks, with what to do, in one line; None where the error is of another kind."""
    text = str(error)
    detail = f" ({' '.join(text.splitlines()[-1:])[:120]})" if text else ""
    if isinstance(error, RuntimeError) and _NO_LOADER in text and error.__context__ is not None:
        return what_is_lacking(error.__context__)
    if isinstance(error, RuntimeError) and _NO_HOME in text:
        return "this user has no home folder and HOME is not set; give cache_dir=FOLDER, and no path that begins with ~"
    is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None
    if (is_full and _is_of_a_worker(error)) or (
        isinstance(error, RuntimeError) and any(part in text for part in _NO_SHARED_MEMORY)
    ):
        return f"no room in /dev/shm, where workers hand over their data; use {WORKERS}=0, or docker run --shm-size=8g"
    if (isinstance(error, RuntimeError) and _NO_THREADS in text) or _NO_PROCESS in text:
        return (
            "the system allows no further thread or process; raise `ulimit -u` (Docker: --pids-limit), or use fewer: "
            f"{WORKERS}=0, workers=1, OMP_NUM_THREADS=1"
        )
    if isinstance(error, RuntimeError) and text.startswith("DataLoader worker (pid"):
        return f"a process that reads data was killed, perhaps for want of memory; lower {WORKERS}, or use {WORKERS}=0"
    if isinstance(error, ConnectionError | EOFError) and _is_of_a_worker(error):
        return f"a process that reads data is gone, perhaps for want of memory; lower {WORKERS}, or use {WORKERS}=0"
    if (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and any(part in text for part in _NO_MEMORY))
    ):
        return f"out of memory{detail}; free some, or ask for less: fewer workers, a smaller batch_size or model"
    return None


def _is_of_a_worker(error: BaseException) -> bool:
    """Whether it was met while a loader waited for its processes."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "torch.utils.data.dataloader":
            return True
        trace = trace.tb_next
    return False
