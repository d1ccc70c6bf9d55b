"""What docs/training.md and docs/datasets.md say of SLURM, on a SLURM."""

import csv
import sys
from pathlib import Path

import pytest

from generatect.checkpoints.resume import steps_done
from generatect.checkpoints.safe_load import load_tensors

QUICK = ["model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu"]
QUICK += ["~callbacks.progress", "~callbacks.previews", "~callbacks.tables"]
PYTHON = f"{sys.executable} -m"


@pytest.fixture
def script(tmp_path):
    """Function that writes a batch script of a few lines and returns its path."""

    def write(*lines: str) -> Path:
        path = tmp_path / "job.sh"
        path.write_text("\n".join(["#!/bin/bash", f"#SBATCH --chdir={tmp_path}", *lines, ""]))
        return path

    return write


def test_two_processes_are_requeued_by_their_signal_and_go_on(cluster, script, tmp_path):
    """USR1 to every task of a step, as `--signal=USR1@120` sends it: saved, queued again by one of them, done."""
    training = [f"srun {PYTHON} generatect.train stage=ctvit", *QUICK, "strategy=ddp trainer.devices=2"]
    training += ["steps=40 val_every=20 resume=auto", f"output={tmp_path}/run cache_dir={tmp_path}/cache"]
    job = cluster.submit(
        script("#SBATCH --ntasks=2 --ntasks-per-node=2 --requeue --open-mode=append", " ".join(training)),
        f"--output={tmp_path}/log.txt",
        "--time=10",
    )
    metrics = tmp_path / "run" / "logs" / "metrics.csv"
    cluster.wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") > 2, "the first steps")
    cluster("scancel", "--signal=USR1", job)
    log = tmp_path / "log.txt"
    cluster.wait_until(lambda: "is back in the queue" in log.read_text(), log.read_text())
    first = log.read_text()
    saved = steps_done(load_tensors(tmp_path / "run" / "last.ckpt"))
    cluster.wait_until(lambda: cluster.has_ended(job), "the end of the requeued job")
    whole = log.read_text()
    assert 0 < saved < 40
    assert first.count(f"SIGUSR1 after step {saved}") == 1
    assert whole.count(f"job {job} is back in the queue") == 1
    assert f"going on from {tmp_path}/run/last.ckpt" in whole
    assert "Traceback" not in whole
    assert steps_done(load_tensors(tmp_path / "run" / "last.ckpt")) == 40
    assert (tmp_path / "run" / "ctvit.safetensors").is_file()


def test_a_sweep_of_two_jobs(cluster, tmp_path):
    sweep = ["-m", "stage=ctvit", *QUICK, "seed=1,2", "steps=1", "val_every=1", "hydra/launcher=submitit_slurm"]
    settings = ["hydra.launcher.timeout_min=10", f"output={tmp_path}/sweep", f"cache_dir={tmp_path}/cache"]
    cluster(sys.executable, "-m", "generatect.train", *sweep, *settings, timeout=240)
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "done"]


def test_a_job_of_several_tasks_without_srun_does_not_hang(cluster, script, tmp_path):
    settings = ["strategy=ddp trainer.devices=2", f"output={tmp_path}/run cache_dir={tmp_path}/cache"]
    command = " ".join([f"{PYTHON} generatect.train stage=ctvit", *QUICK, *settings])
    job = cluster.submit(script("#SBATCH --ntasks=2", command), f"--output={tmp_path}/log.txt")
    cluster.wait_until(lambda: cluster.has_ended(job), "the end of the job")
    said = (tmp_path / "log.txt").read_text()
    assert "start it as: srun python -m generatect.train" in said
    assert said.count("\n") == 1


def test_an_array_of_shards_fills_one_dataset(cluster, script, tmp_path):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("prompt\n" + "".join(f"There is a nodule of {mm} mm.\n" for mm in (4, 6, 8)))
    command = f"{PYTHON} generatect.generate prompts={prompts} output={tmp_path}/set gate=null"
    small = f"tokens.steps=1 upscale.steps=1 cache_dir={tmp_path}/cache"
    job = cluster.submit(script(f"{command} {small}"), "--array=0-1", f"--output={tmp_path}/log-%a.txt")
    cluster.wait_until(lambda: cluster.has_ended(job), "the end of the array")
    logs = [(tmp_path / f"log-{index}.txt").read_text() for index in range(2)]
    assert sorted(path.name for path in (tmp_path / "set").glob("*.nii.gz")) == [f"{n:04d}.nii.gz" for n in range(3)], (
        logs
    )
    with (tmp_path / "set" / "table.csv").open(newline="") as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    assert (tmp_path / "set" / "README.md").is_file()
    assert sum("wrote" in log for log in logs) >= 1
