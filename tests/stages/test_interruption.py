"""A run that is told to end, at whatever moment, loses nothing."""

import os
import signal
import subprocess
import sys

import torch

from tests.stages.warm import batches, run_scenario, saves

# What a user runs in two processes, of which one alone is told to end.
ONE_OF_TWO = """
import os, signal, sys
from generatect.config.command import run_command
from generatect.stages.base import Stage
from generatect.train import train

begin = Stage.on_train_batch_start

def on_train_batch_start(stage, batch, batch_idx):
    begin(stage, batch, batch_idx)
    if stage.global_rank == 1 and batch_idx == 2:
        os.kill(os.getpid(), signal.SIGUSR1)

Stage.on_train_batch_start = on_train_batch_start
run_command("train", train)
"""


def test_fifty_signals_at_random_moments(tmp_path):
    lines = run_scenario("signals", tmp_path, 50, 2)
    expected = {save["saved"]: save for save in saves(tmp_path, "whole-ctvit")}
    ends = [line for line in lines if line["run"] == "signalled"]
    assert len(ends) == 50
    for end in ends:
        assert end["ended"] == 128 + end["number"], end["err"]
        assert end["seconds"] < 30
        assert "Traceback" not in end["err"]
        assert end["err"].startswith("saved")
    for save in saves(tmp_path, "signalled"):  # raw and averaged weights stand where they belong, too
        assert save == expected[save["saved"]]
    resumed = [line for line in lines if line["run"].startswith("signalled-")]
    assert len(resumed) == 2
    for run in resumed:
        assert run["ended"] == 0, run["err"]
        assert saves(tmp_path, run["run"])[-1] == expected[24]


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


def test_a_signal_while_data_are_prepared(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "asked"}\n')
    (programs / "scontrol").chmod(0o755)
    lines = run_scenario("preparation", tmp_path, 2, PATH=f"{programs}:/usr/bin:/bin")[1:]
    for job, line in zip((70, 71), lines, strict=True):
        assert line["ended"] == 128 + signal.SIGUSR1
        assert line["then"] > line["before"]  # what was prepared stays
        first, second = line["err"].splitlines()
        assert first == "SIGUSR1 before the first step; the same command with resume=auto goes on"
        assert second == f"job {job} is back in the queue"
    assert (tmp_path / "asked").read_text() == "requeue 70\nrequeue 71\n"


def test_one_of_two_processes_is_told_and_both_end(tmp_path):
    (tmp_path / "script.py").write_text(ONE_OF_TWO)
    two = ["strategy=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "~callbacks.previews"]
    small = ["model=tiny", "data.pairs.num=20", "steps=9", "val_every=9", "stage.datamodule.batch_size=2"]
    ended = subprocess.run(
        [sys.executable, "script.py", *small, *two, f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 128 + signal.SIGUSR1, ended.stderr
    assert ended.stderr.count("SIGUSR1 after step 3") == 1
    assert "Traceback" not in ended.stderr
    content = torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)
    assert content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"] == 3
