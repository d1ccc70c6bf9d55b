"""A reader in a process of its own: its result comes back, and whatever it does comes back as one line."""

import os
import signal
import time

import numpy as np
import pytest

from generatect.ct.dicom import read_series
from generatect.data.guarded import run_guarded
from generatect.errors import InputError
from tests.dicom_writer import save, series_of

MB = 1_000_000


def test_a_volume_comes_back_as_it_is(tmp_path):
    folder = save(tmp_path, series_of())
    volume, expected = run_guarded(read_series, folder), read_series(folder)
    assert np.array_equal(volume.voxels_hu, expected.voxels_hu)
    assert volume.voxels_hu.dtype == expected.voxels_hu.dtype
    assert np.array_equal(volume.affine, expected.affine)
    assert volume.voxels_hu.flags.writeable


def test_a_large_array_comes_back_without_a_second_copy_of_it():
    array = run_guarded(np.full, (200, 1000, 1000), 7, np.int16, memory_bytes=450 * MB)
    assert array.nbytes == 400 * MB
    assert (array == 7).all()


def test_its_refusal_is_ours(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}: no DICOM among 0 files"):
        run_guarded(read_series, tmp_path)


def test_too_much_memory():
    with pytest.raises(InputError, match=r"^scan: reading it needed more than 0\.3 GB; .* damaged or too large$"):
        run_guarded(np.ones, 500 * MB, name="scan", memory_bytes=300 * MB)


def test_too_much_time():
    with pytest.raises(InputError, match=r"^scan: reading it took more than 0\.5 s;"):
        run_guarded(time.sleep, 600, name="scan", timeout_s=0.5)


@pytest.mark.parametrize(
    ("function", "argument", "how"),
    [(os._exit, 3, "exit status 3"), (signal.raise_signal, 9, "SIGKILL"), (signal.raise_signal, 11, "SIGSEGV")],
)
def test_a_crash(function, argument, how):
    with pytest.raises(InputError, match=rf"^scan: reading it crashed the reader \({how}\);"):
        run_guarded(function, argument, name="scan")


def test_an_abort():
    """As C++ libraries end where they find a file too bad."""
    with pytest.raises(InputError, match=r"^scan: reading it crashed the reader \(SIGABRT\);"):
        run_guarded(os.abort, name="scan")


def test_what_it_prints_is_no_answer(capfd):
    assert run_guarded(os.system, "echo noise; echo noise >&2") == 0
    assert run_guarded(print, "noise") is None
    assert capfd.readouterr() == ("", "")


def test_a_bug_keeps_its_trace():
    with pytest.raises(RuntimeError, match=r"(?s)scan: its reader failed\nTraceback .*ZeroDivisionError"):
        run_guarded(divmod, 1, 0, name="scan")
