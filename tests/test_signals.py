"""Signals that tell a command to end: one owner, from the first line to the last."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from generatect.config.sweep import DONE, read_record
from generatect.data.guarded import run_guarded
from generatect.signals import (
    COMMAND_ENDING,
    ENDING,
    caught,
    end_at_safe_points,
    ended_by_signals,
    ended_in_one_line,
    leave_to_parent,
)
from generatect.train import export


@pytest.fixture(autouse=True)
def _handlers():
    """A process that a signal ended keeps the handlers; this one goes on, and hears what its parent may ignore."""
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
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


@pytest.mark.parametrize("number", COMMAND_ENDING)
@pytest.mark.parametrize("take", [ended_by_signals, lambda function: ended_in_one_line("doctor")(function)])
def test_what_is_ignored_from_the_start_stays_ignored(number, take):
    """As nohup has SIGHUP, and a shell SIGINT of what it runs in the background."""
    signal.signal(number, signal.SIG_IGN)
    take(lambda: os.kill(os.getpid(), number))()
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.parametrize("number", COMMAND_ENDING)
def test_any_command_ends_in_one_line(capsys, number):
    with pytest.raises(SystemExit) as end, ended_in_one_line("doctor"):
        os.kill(os.getpid(), number)
    assert end.value.code == 128 + number
    name = signal.Signals(number).name
    said = f"generatect.doctor: ended by {name}, nothing is left half written; give the same command again\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("safe_points", [False, True])
def test_a_second_ctrl_c_leaves_whatever_is_going_on(safe_points):
    process = os.fork()
    if process == 0:
        with contextlib.suppress(BaseException), ended_in_one_line("doctor"):
            try:
                if safe_points:
                    end_at_safe_points()
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGINT)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 128 + signal.SIGINT


def _read(seconds: float) -> str:
    time.sleep(seconds)
    return "read"


def test_a_reader_does_not_die_of_a_ctrl_c_to_all():
    """Its volume would be taken for damaged, and be left out of the training."""
    process = os.fork()
    if process == 0:
        os.setsid()

        @ended_by_signals
        def training() -> None:
            end_at_safe_points()
            threading.Timer(1, os.killpg, (0, signal.SIGINT)).start()
            os._exit(run_guarded(_read, 3.0) != "read")

        training()
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def _start(*command: str, folder: Path) -> subprocess.Popen:
    path = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _await(process: subprocess.Popen, is_so: Callable[[], bool]) -> None:
    while process.poll() is None and not is_so():
        time.sleep(0.01)


def test_a_ctrl_c_while_a_command_is_imported(tmp_path):
    process = _start("generatect.generate", folder=tmp_path)
    _await(process, lambda: "torch" in Path(f"/proc/{process.pid}/maps").read_text())
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "generatect: ended by SIGINT before anything began\n"
    assert process.returncode == 128 + signal.SIGINT


def test_a_ctrl_c_while_the_workers_of_prepare_are_imported(command, tmp_path):
    settings = ("data=phantom", "data.pairs.num=9", "model=tiny", f"cache_dir={tmp_path / 'c'}", f"output={tmp_path}")
    process = _start("generatect.prepare", *settings, "workers=2", folder=tmp_path)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def are_importing() -> list[str]:
        found = [child for child in children.read_text().split() if "torch" in Path(f"/proc/{child}/maps").read_text()]
        return found if len(found) > 1 else []

    _await(process, lambda: bool(are_importing()))
    workers = are_importing()
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert said == ("generatect.prepare: ended by SIGINT, nothing is left half written; give the same command again\n")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    again = command("prepare", *settings, "workers=1")
    assert again.code == 0, again.err


def test_a_command_that_is_ended_while_it_writes_leaves_nothing(command, tmp_path, monkeypatch):
    sync = os.fsync

    def end(handle: int) -> None:
        sync(handle)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("generatect.files.os.fsync", end)
    ended = command("generate", "prompt=Clear.", f"output={tmp_path}", "tokens.steps=1", "upscale.steps=1")
    assert ended.code == 128 + signal.SIGTERM, ended.err
    assert ended.err == (
        "generatect.generate: ended by SIGTERM, nothing is left half written; give the same command again\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_ctrl_c_that_is_too_late_for_one_job_of_a_sweep_is_in_time_for_the_next(command, tmp_path, monkeypatch):
    def export_at_the_end(*where: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        export(*where)

    monkeypatch.setattr("generatect.train.export", export_at_the_end)
    small = ("stage=ctvit", "model=tiny", "data.pairs.num=20", "steps=1", "val_every=1", "trainer.accelerator=cpu")
    where = ("~callbacks.previews", f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}")
    ended = command("train", "-m", *small, *where, "seed=1,2")
    assert ended.code == 128 + signal.SIGINT, ended.err
    record = read_record(tmp_path / "out" / "0")
    assert record is not None
    assert record.status == DONE
    assert (tmp_path / "out" / "0" / "ctvit.safetensors").is_file()
    assert not (tmp_path / "out" / "1").exists()


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
