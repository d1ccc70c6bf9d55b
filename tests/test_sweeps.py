"""Sweeps: a row for each job whatever became of it, and the same command goes on."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generatect.config.scores import Scores, read_scores
from generatect.config.sweep import DONE, FAILED, INTERRUPTED, JobRecord, read_records, write_summary

QUICK = ["model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu"]
QUICK += ["~callbacks.progress", "~callbacks.previews", "~callbacks.tables"]


@pytest.fixture
def settings(tmp_path):
    """What all sweeps here share, and where they write."""
    return [*QUICK, f"cache_dir={tmp_path / 'cache'}", f"output={tmp_path / 'out'}"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_twelve_jobs_of_which_two_fail(command, settings, tmp_path):
    grid = ["stage.datamodule.batch_size=1,2,3,4,5,0", "seed=range(0,2)", "steps=1", "val_every=1"]
    ended = command("train", "-m", *settings, *grid)
    assert ended.code == 2
    assert ended.err.count("stage.datamodule.batch_size=0: expected at least 1\n") == 2
    table = rows(tmp_path / "out")
    assert [row["number"] for row in table] == [str(number) for number in range(12)]
    assert [row["status"] for row in table] == ["done"] * 10 + ["failed"] * 2
    assert all("stage.datamodule.batch_size=0: expected" in row["reason"] for row in table[10:])
    assert all(float(row["best val/loss"]) > 0 for row in table[:10])
    assert "seed=1" in table[1]["overrides"]
    assert len(list((tmp_path / "out").glob("*/ctvit.safetensors"))) == 10
    assert ended.out.count("batch_size=3") >= 2  # the table at the end

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/ctvit.safetensors")}
    again = command("train", "-m", *settings, *grid)
    assert again.code == 2
    assert again.out.count("done before, skipped") == 10
    assert again.err.count("expected at least 1\n") == 2  # what failed is tried again
    assert written == {path: path.stat().st_mtime_ns for path in written}

    other = command("train", "-m", *settings, *grid, "model.ctvit.codebook_size=16")
    assert other.code == 2
    assert "job 0 there is another one" in other.err
    assert other.err.count("\n") == 1
    assert [row["status"] for row in rows(tmp_path / "out")] == ["done"] * 10 + ["failed"] * 2


def test_more_steps_go_on_from_those_before(command, settings, tmp_path):
    for steps in (1, 2):
        ended = command("train", "-m", *settings, "seed=0,1", f"steps={steps}", "val_every=1")
        assert ended.code == 0, ended.err
    assert ended.out.count("going on from") == 2
    weights = [(tmp_path / "out" / job / "last.ckpt").read_bytes() for job in "01"]
    anew = command("train", "-m", *settings, "seed=0,1", "steps=2", "val_every=1", "fresh=true")
    assert anew.code == 0, anew.err
    assert [(tmp_path / "out" / job / "before-1" / "last.ckpt").read_bytes() for job in "01"] == weights
    assert [row["steps"] for row in rows(tmp_path / "out")] == ["2", "2"]
    assert set(read_scores(tmp_path / "out" / "0" / "scores.json").validations) == {1, 2}


def test_what_a_kill_has_cut_goes_on(command, settings, tmp_path):
    sweep = ["-m", *settings, "seed=0,1", "steps=60", "val_every=5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "generatect.train", *sweep],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "out" / "1" / "last.ckpt").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    ended = command("train", *sweep)
    assert ended.code == 0, ended.err
    assert "job 0: done before, skipped" in ended.out
    assert f"going on from {tmp_path / 'out' / '1'}" in ended.out
    assert [row["status"] for row in rows(tmp_path / "out")] == ["done", "done"]
    assert set(read_scores(tmp_path / "out" / "1" / "scores.json").validations) == set(range(5, 61, 5))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["output=a,b"], "a sweep has one output"),
        (["experiments=glob(*)"], "would run nothing"),
        (["seed=0,1", "stage=ctvti"], "stage=ctvti: no such choice, did you mean 'ctvit'?"),
        (["model=tiny,tinny"], "model=tinny: no such choice"),
        (["hydra/launcher=jobli", "seed=0,1"], "known: basic, joblib, submitit_local, submitit_slurm"),
    ],
)
def test_a_sweep_that_cannot_work_is_one_line(command, tmp_path, monkeypatch, overrides, message):
    ended = command("train", "-m", f"cache_dir={tmp_path / 'cache'}", f"output={tmp_path / 'out'}", *overrides)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None, reason="no joblib launcher"
)
def test_jobs_in_other_processes(command, settings, tmp_path):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    ended = command("train", "-m", *settings, *launcher, "stage.datamodule.batch_size=2,0", "steps=1", "val_every=1")
    assert ended.code == 2
    assert [row["status"] for row in rows(tmp_path / "out")] == ["done", "failed"]


def test_the_summary_holds_what_the_records_say(tmp_path):
    statuses = {0: (DONE, ""), 1: (FAILED, "=out of memory"), 2: (INTERRUPTED, "SIGTERM")}
    for number, (status, reason) in statuses.items():
        record = JobRecord(number, [f"seed={number}"], status, reason, output=str(tmp_path / str(number)))
        if status == DONE:
            Scores(4, {2: {"val/loss": 3.0}, 4: {"val/loss": 5.0}}, {"val/loss": 5.0}).write(
                tmp_path / "0" / "scores.json"
            )
        record.add_scores()
        record.write()
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "job.json").write_text("{cut sho")
    assert len(write_summary(tmp_path)) == 3
    table = rows(tmp_path)
    assert [(row["status"], row["reason"]) for row in table] == [
        ("done", ""),
        ("failed", "'=out of memory"),  # no formula for a spreadsheet
        ("interrupted", "SIGTERM"),
    ]
    assert (table[0]["best_step"], table[0]["best val/loss"], table[0]["final val/loss"]) == ("2", "3.0", "5.0")
    assert read_records(tmp_path)[0].best == {"val/loss": 3.0}


def test_scores_that_are_no_numbers_are_never_best(tmp_path):
    scores = Scores(3, {1: {"a": float("nan")}, 2: {"a": 2.0}, 3: {"a": float("-inf"), "b": 1.0}}, {})
    scores.write(tmp_path / "scores.json")
    again = read_scores(tmp_path / "scores.json")
    assert again.best("a") == (2, {"a": 2.0})
    assert again.best("b", "maximize") == (3, {"a": float("-inf"), "b": 1.0})
    assert again.best("c") is None
    (tmp_path / "scores.json").write_text(json.dumps([1, 2]))
    assert read_scores(tmp_path / "scores.json") == Scores()
