"""A run that is told to end, at whatever moment, loses nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from generatect.checkpoints.stage_file import EMA_KEY

SMALL = ["model=tiny", "data.pairs.num=20", "steps=60", "val_every=5", "stage.datamodule.batch_size=2"]
AVERAGED = ["stage.averaged=[ctvit]", "callbacks.ema.every=1", "callbacks.ema.start=0"]
QUIET = ["trainer.accelerator=cpu", "~callbacks.previews", *AVERAGED]


@pytest.fixture
def start(tmp_path):
    """Function that starts a training process."""

    def run(output: str, *overrides: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "generatect.train", *SMALL, *QUIET, f"output={tmp_path / output}", *overrides],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_ended_by_a_signal_goes_on_bit_for_bit(start, tmp_path, number):
    broken = start("broken")
    begun = tmp_path / "broken" / "last.ckpt"
    deadline = time.monotonic() + 200
    while not begun.exists() and broken.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    broken.send_signal(number)
    err = broken.communicate(timeout=60)[1]
    assert broken.returncode == 128 + number, err
    assert "resume=auto goes on" in err
    assert "Traceback" not in err
    whole, resumed = start("whole"), start("broken", "resume=auto")
    for run in (whole, resumed):
        out, err = run.communicate(timeout=300)
        assert run.returncode == 0, err
    assert "going on from" in out
    first, second = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "broken"))
    for part in ("state_dict", EMA_KEY):
        assert all(torch.equal(value, second[part][key]) for key, value in first[part].items())
    assert first["lr_schedulers"] == second["lr_schedulers"]
