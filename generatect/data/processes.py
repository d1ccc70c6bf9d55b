"""One function over many items, in processes of their own."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

import torch

from generatect.errors import InputError
from generatect.signals import Interrupted, deaf_children

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Item = TypeVar("Item")
Result = TypeVar("Result")
_work: Callable[[Any], Any]


def in_processes(
    work: Callable[[Item], Result], items: Iterable[Item], num_workers: int, start_method: str = "spawn"
) -> Generator[Result, None, None]:
    """Yields `work(item)` of every item, as they are done.

    Each process calculates with one thread. None outlives this one, however it ends; closed early, it kills them.

    Args:
        work: sent to each process once, so it may be large.
        items: small values.
        num_workers: processes; 1 works in this one.
        start_method: of the processes.

    Raises:
        InputError: a process was killed, as for want of memory; and whatever `work` raises.
    """
    if num_workers == 1:
        yield from map(work, items)
        return
    queue = iter(items)
    context = multiprocessing.get_context(start_method)
    with _one_thread_each(), ProcessPoolExecutor(num_workers, context, _start, (work,)) as pool:

        def submit(num: int) -> set[Future]:
            with deaf_children():  # the pool starts its processes here
                return {pool.submit(_call, item) for item in islice(queue, num)}

        running = set[Future]()
        try:
            running = submit(2 * num_workers)  # few at a time, so that an error ends the work soon
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    running |= submit(1)
        except (Interrupted, GeneratorExit):  # in here, or where the results go
            for process in multiprocessing.active_children():  # what they have not finished is made by the next run
                process.kill()
            running = set()  # whoever cancels what a dead process has begun gets a trace from the pool's thread
            raise
        except BrokenProcessPool as error:
            raise InputError(
                f"workers={num_workers}: a worker process was killed, perhaps for want of memory; try with fewer"
            ) from error
        finally:
            for future in running:
                future.cancel()


def num_processes(workers: int | str, bytes_each: float) -> int:
    """The number that `workers` stands for: "auto" is one for each core, as far as they all fit into memory.

    Raises:
        InputError: neither "auto" nor a number of at least 1.
    """
    if isinstance(workers, int) and workers >= 1:
        return workers
    if workers != "auto":
        raise InputError(f"workers={workers}: expected auto or a number of at least 1")
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(num_cores, int(memory / bytes_each)))


def _start(work: Callable[[Any], Any]) -> None:
    """First thing that a process does."""
    global _work
    _work = work
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _call(item: Any) -> Any:
    return _work(item)


def _end_with_parent() -> None:
    """A parent killed by SIGKILL cannot end its children: they watch it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile calculate with one thread; libraries read this when they are imported."""
    before = {key: os.environ.get(key) for key in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key)
            if value is not None:
                os.environ[key] = value
