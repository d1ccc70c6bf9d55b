"""Of two processes that train together one writes, and what both do is counted."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.loggers.wandb_files import read_wandb


def test_two_processes_leave_one_record(tmp_path):
    two = ["strategy=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    small = ["model=tiny", "data.pairs.num=20", "steps=8", "val_every=4", "stage.datamodule.batch_size=2"]
    logs = ["trainer.log_every_n_steps=1", "logger=wandb", "logger.wandb.mode=offline"]
    where = [f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"]
    ended = subprocess.run(
        [sys.executable, "-m", "generatect.train", "stage=ctvit", *two, *small, *logs, *where],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    with open(tmp_path / "out" / "logs" / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == list("12345678")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [start["num_processes"] for start in record["starts"]] == [2]
    assert (
        len(list((tmp_path / "out" / "tables").iterdir())) == len(list((tmp_path / "out" / "previews").iterdir())) == 2
    )
    volumes = float(rows[-1]["speed/volumes_per_second"]) * float(rows[-1]["speed/step_seconds"])
    assert volumes == pytest.approx(2 * 2)  # two volumes in each of two processes
    assert list(read_wandb(tmp_path / "out").values("train/reconstruction")) == list(range(1, 9))
    for said in ("MFU is relative to", "W&B run"):
        assert ended.stdout.count(said) == 1
