"""What the machine lacks is one line; each lack is one indeed, met in a process of its own."""

import errno
import os
import resource
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, Dataset

from generatect.config.one_line import is_user_error, one_line
from generatect.files import atomic_path, naming


def said(work: Callable[[], object]) -> str:
    """The one line of the error that `work` meets in a fork."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            work()
            line = "no error"
        except Exception as error:
            line = one_line(error) if is_user_error(error) else f"a trace: {error!r}"
        os.write(writing, line.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        line = file.read()
    os.waitpid(process, 0)
    assert "\n" not in line
    return line


def limit_memory() -> None:
    """No more address space than is in use, and a little."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (4 << 20), mapped + (4 << 20)))


class Items(Dataset):
    """Items whose reading does something else."""

    def __init__(self, does: Callable[[], object]) -> None:
        self.does = does

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        self.does()
        return torch.zeros(1 << 20)


def load(does: Callable[[], object]) -> None:
    """Two items by two workers."""
    list(DataLoader(Items(does), num_workers=2))


def test_memory():
    def fill(make: Callable[[], object]) -> str:
        return said(lambda: (limit_memory(), make()))

    numpy, plain, by_torch = (
        fill(make) for make in (lambda: np.ones(1 << 30), lambda: bytearray(1 << 33), lambda: torch.ones(1 << 30))
    )
    assert numpy.startswith("out of memory (Unable to allocate 8.00 GiB")
    assert plain.startswith("out of memory; ")
    assert by_torch.startswith("out of memory (")
    assert all("fewer workers" in line for line in (numpy, plain, by_torch))


def test_threads():
    def start_many() -> None:
        limit_memory()
        for _ in range(9):
            threading.Thread(target=threading.Event().wait, daemon=True).start()

    line = said(start_many)
    assert "no further thread" in line
    assert "num_workers=0" in line


def test_processes():
    assert "no further thread or process" in one_line(BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)))


def test_a_home():
    def look() -> None:
        os.environ.pop("HOME", None)
        os.setuid(54321)
        Path("~/x").expanduser()

    if os.getuid() != 0:
        pytest.skip("only root can be somebody without a home")
    assert "give cache_dir=FOLDER" in said(look)


def test_a_killed_worker():
    line = said(lambda: load(lambda: os.kill(os.getpid(), signal.SIGKILL)))
    assert line.startswith("a process that reads data was killed")
    assert "num_workers=0" in line


def test_shared_memory():
    def fill() -> None:
        torch.multiprocessing.set_sharing_strategy("file_system")
        load(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, 1 << 12)))

    line = said(fill)
    assert "/dev/shm" in line
    assert "--shm-size" in line


def test_an_error_of_the_system_in_a_worker_is_its_last_line(tmp_path):
    assert (
        said(lambda: load((tmp_path / "gone").read_bytes)) == f"[Errno 2] No such file or directory: '{tmp_path}/gone'"
    )


@pytest.mark.parametrize(
    "write", [lambda file: file.write(b"x" * 9999), lambda file: os.write(file.fileno(), b"x" * 9999)]
)
def test_a_file_that_becomes_too_large_is_named(tmp_path, write):
    def fill(path: Path) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, 1 << 12))
        with atomic_path(path) as temporary, open(temporary, "wb", buffering=0) as file:
            write(file)
            write(file)

    line = said(lambda: fill(tmp_path / "volume.nii.gz"))
    assert line.startswith(f"{tmp_path / 'volume.nii.gz'}: File too large; ")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named():
    def fill() -> None:
        with naming(Path("/dev/full")), open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    assert said(fill) == "/dev/full: No space left on device; make room there, or choose another place"


def test_what_lightning_hides_as_it_clears_up():
    def start() -> None:
        warnings.simplefilter("ignore")  # Lightning's use of torch
        loader = CombinedLoader(DataLoader(Items(lambda: None)))
        try:
            raise MemoryError
        finally:
            len(loader)

    assert said(start).startswith("out of memory; ")
