"""Signals that tell a training to end: one owner, from the first line to the last."""

import multiprocessing
import os
import signal
import subprocess
import threading
import time

import pytest

from generatect.signals import ENDING, caught, end_at_safe_points, ended_by_signals, leave_to_parent


@pytest.fixture(autouse=True)
def _handlers():
    """A process that a signal ended keeps the handlers; this one goes on."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@ended_by_signals
def training(*numbers: int) -> None:
    """Is told to end before its first step, perhaps more than once."""
    first, *others = numbers
    try:
        os.kill(os.getpid(), first)
    finally:
        for number in others:
            os.kill(os.getpid(), number)
    raise AssertionError("went on")


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """Function that puts a program of that name on the path, within a job of SLURM; returns what it was asked."""

    def install(*lines: str):
        asked, program = tmp_path / "asked", tmp_path / "scontrol"
        program.write_text("\n".join(["#!/bin/sh", f'echo "$@" >> {asked}', *lines, ""]))
        program.chmod(0o755)
        return asked

    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("PATH", str(tmp_path))
    return install


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_with_its_number(capsys, number):
    with pytest.raises(SystemExit) as end:
        training(number)
    assert end.value.code == 128 + number
    said = f"{signal.Signals(number).name} before the first step; the same command with resume=auto goes on\n"
    assert capsys.readouterr().err == said


def test_the_first_of_several_counts():
    with pytest.raises(SystemExit) as end:
        training(signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1)
    assert end.value.code == 128 + signal.SIGUSR1


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_of_slurm_goes_back_into_the_queue(scontrol, capsys, number):
    asked = scontrol()
    with pytest.raises(SystemExit):
        training(number)
    assert asked.read_text() == "requeue 4711\n"
    assert capsys.readouterr().err.endswith("job 4711 is back in the queue\n")


def test_who_cancels_a_job_does_not_want_it_again(scontrol):
    asked = scontrol()
    with pytest.raises(SystemExit):
        training(signal.SIGTERM)
    assert not asked.exists()


def test_a_job_that_cannot_be_requeued_is_said(scontrol, capsys):
    with pytest.raises(SystemExit) as end:
        training(signal.SIGUSR1)
    assert capsys.readouterr().err.endswith("scontrol requeue 4711 failed (No such file or directory)\n")
    scontrol("echo 'Invalid job id' >&2", "exit 1")
    with pytest.raises(SystemExit) as end:
        training(signal.SIGUSR1)
    assert end.value.code == 128 + signal.SIGUSR1
    assert capsys.readouterr().err.endswith("scontrol requeue 4711 failed (Invalid job id)\n")


def test_at_safe_points_a_signal_is_noted_and_handlers_are_given_back():
    before = [signal.getsignal(number) for number in ENDING]
    noted = []

    @ended_by_signals
    def careful() -> None:
        end_at_safe_points()
        noted.append(caught())
        os.kill(os.getpid(), signal.SIGUSR2)
        noted.append(caught())

    careful()
    careful()
    assert noted == [None, signal.SIGUSR2] * 2
    assert [signal.getsignal(number) for number in ENDING] == before


def test_in_a_thread_there_are_no_handlers_to_set():
    ran = []
    thread = threading.Thread(target=ended_by_signals(lambda: ran.append(True)))
    thread.start()
    thread.join()
    assert ran == [True]


def _worker(ready) -> None:
    leave_to_parent()
    ready.set()
    time.sleep(60)


def test_a_worker_ends_for_its_parent_alone():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=_worker, args=(ready,))
    worker.start()
    assert ready.wait(60)
    for number in ENDING:
        subprocess.run(["kill", f"-{int(number)}", str(worker.pid)], check=True)
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0
