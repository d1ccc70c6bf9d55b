"""A run that is told to end, at whatever moment, loses nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
import torch

from generatect.checkpoints.resume import steps_done
from generatect.checkpoints.safe_load import load_tensors
from generatect.stages.base import Stage
from tests.stages.warm import batches, run_scenario, saves

# What a user runs in two processes, and ends by Ctrl-C.
TWO = """
import os, signal, sys
from generatect.config.command import run_command
from generatect.stages.base import Stage
from generatect.train import train

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests may ignore it
begin = Stage.on_train_batch_start

def on_train_batch_start(stage, batch, batch_idx):
    begin(stage, batch, batch_idx)
    if stage.global_rank == 1 and batch_idx == 2:
        os.killpg(0, signal.SIGINT)  # as a terminal does

Stage.on_train_batch_start = on_train_batch_start
run_command("train", train)
"""


WAYS = {"INT": signal.SIGINT, "HUP": signal.SIGHUP, "TERM": signal.SIGTERM, "USR1": signal.SIGUSR1}


@pytest.fixture(scope="module")
def signalled(tmp_path_factory):
    """Folder of the runs that were ended in every way at every kind of moment, and what was seen of each."""
    folder = tmp_path_factory.mktemp("signalled")
    return folder, {line["run"]: line for line in run_scenario("signals", folder, 0)}


@pytest.mark.parametrize("moment", ["training", "validation", "tokenizing"])
@pytest.mark.parametrize("way", [*WAYS, "twice"])
def test_however_and_whenever_a_run_is_ended_it_goes_on_bit_for_bit(signalled, moment, way):
    folder, runs = signalled
    end, whole = runs[f"{moment}-{way}"], "whole-transformer" if moment == "tokenizing" else "whole-ctvit"
    number = WAYS.get(way, signal.SIGINT)
    assert end["ended"] == 128 + number, end["err"]
    assert end["seconds"] < 30
    assert end["whole"]
    if moment == "tokenizing":
        assert end["kept"] >= 3  # what was encoded stays
        line = f"{number.name} before the first step; the same command with resume=auto goes on"
    else:
        saved = {"training": 5, "validation": 6}[moment]
        steps = 4 if way == "twice" else saved
        line = f"saved {folder / end['run'] / 'last.ckpt'}: {number.name} after step {saved}"
        line += "; the same command with resume=auto goes on"
        assert end["steps"] == steps
    if way == "twice":
        line = "left at the second Ctrl-C; what was saved before is whole, and the same command goes on there"
    else:
        assert end["parts"] == 0
    assert end["err"] == ("" if way == "HUP" else line + "\n")  # nobody reads a closed terminal
    again = runs[f"{moment}-{way} resumed"]
    assert again["ended"] == 0, again["err"]
    assert saves(folder, end["run"])[-1] == saves(folder, whole)[-1]


def test_at_most_one_batch_is_lost(tmp_path):
    """None is, of a run that is signalled again and again, with worker processes that hear of it, too."""
    lines = run_scenario("workers", tmp_path, 5)
    assert lines[-1]["run"] == "rest"
    assert lines[-1]["ended"] == 0, lines[-1]["err"]
    ends = [line for line in lines if line["run"] == "workers"]
    assert sum(end["ended"] == 128 + end["number"] for end in ends) >= 4  # the others came before the command took over
    for end in ends:
        assert end["ended"] in (128 + end["number"], -end["number"]), end["err"]
        assert end["seconds"] < 30
        assert "Traceback" not in end["err"]
    assert batches(tmp_path, "workers") == batches(tmp_path, "whole-ctvit")
    expected = {save["saved"]: save for save in saves(tmp_path, "whole-ctvit")}
    assert all(save == expected[save["saved"]] for save in saves(tmp_path, "workers"))


def test_a_killed_worker_ends_a_run_that_is_saved(command, tmp_path, monkeypatch):
    begin = Stage.on_train_batch_start

    def kill_workers(stage: Stage, batch: dict, batch_idx: int) -> None:
        begin(stage, batch, batch_idx)
        if batch_idx == 3:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)

    small = ("model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    quiet = ("~callbacks.previews", "stage=ctvit", "steps=30", "val_every=30", "stage.datamodule.num_workers=1")
    output = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Stage, "on_train_batch_start", kill_workers)
        ended = command("train", *small, *quiet, f"output={output}", f"cache_dir={tmp_path}")
    assert ended.code == 2
    saved, said = ended.err.splitlines()
    assert saved == f"saved {output / 'last.ckpt'}; the same command with resume=auto goes on"
    assert "a process that reads data was killed" in said
    steps = steps_done(load_tensors(output / "last.ckpt"))
    assert steps >= 4  # those that the worker had read before are trained on
    ended = command("train", *small, *quiet, f"output={output}", f"cache_dir={tmp_path}", "resume=auto")
    assert ended.code == 0, ended.err


def test_a_signal_while_data_are_prepared(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "asked"}\n')
    (programs / "scontrol").chmod(0o755)
    lines = run_scenario("preparation", tmp_path, 2, PATH=f"{programs}:/usr/bin:/bin")[1:]
    for job, line in zip((70, 71), lines, strict=True):
        assert line["ended"] == 128 + signal.SIGUSR1
        assert line["then"] > line["before"]  # what was prepared stays
        first, second = line["err"].splitlines()[-2:]  # Lightning has something to say where SLURM is installed
        assert first == "SIGUSR1 before the first step; the same command with resume=auto goes on"
        assert second == f"job {job} is back in the queue"
    assert (tmp_path / "asked").read_text() == "requeue 70\nrequeue 71\n"


def test_a_ctrl_c_to_two_processes_saves_once(tmp_path):
    (tmp_path / "script.py").write_text(TWO)
    two = ["strategy=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "~callbacks.previews"]
    small = ["model=tiny", "data.pairs.num=20", "steps=9", "val_every=9", "stage.datamodule.batch_size=2"]
    ended = subprocess.run(
        [sys.executable, "script.py", *small, *two, f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
        start_new_session=True,
    )
    assert ended.returncode == 128 + signal.SIGINT, ended.stderr
    assert ended.stderr.count("SIGINT after step 3") == 1
    assert "Traceback" not in ended.stderr
    content = torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)
    assert content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"] == 3
