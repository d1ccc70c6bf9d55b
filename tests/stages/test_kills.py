"""A run killed by SIGKILL in the middle of writing a checkpoint leaves one to go on from."""

import os
import signal
import subprocess
import sys
import time

from generatect.checkpoints.newest import checkpoint_to_resume
from tests.stages.warm import other_filesystem, run_scenario

COLD = ["model=tiny", "data.pairs.num=20", "val_every=3", "stage.datamodule.batch_size=2", "callbacks.latest.every=1"]


def test_a_hundred_kills_leave_a_hundred_checkpoints_to_resume(tmp_path):
    killed = run_scenario("kills", tmp_path, 100, 5, TMPDIR=str(other_filesystem(tmp_path)))
    ends, resumed = ([line for line in killed if line["run"] == run] for run in ("killed", "resumed"))
    assert [end["ended"] for end in ends] == [-signal.SIGKILL] * 100
    assert all(end["readable"] for end in ends)
    assert sum(end["unfinished"] for end in ends) >= 20  # so many were within the writing
    first = next(index for index, end in enumerate(ends) if end["steps"])
    assert first < 10
    assert all(end["steps"] for end in ends[first:])
    assert len(resumed) == 5
    for run in resumed:
        assert run["ended"] == 0, run["err"]
        assert run["then"] == run["steps"] + 2


def test_the_command_itself(tmp_path):
    """Nothing is forked here: killed, resumed and told to end, it goes on."""

    def start(*overrides: str) -> subprocess.Popen:
        settings = [*COLD, "steps=5000", "trainer.accelerator=cpu", "~callbacks.previews", f"output={tmp_path / 'run'}"]
        return subprocess.Popen(
            [sys.executable, "-m", "generatect.train", *settings, *overrides],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_another(path, process) -> None:
        before, deadline = path.stat().st_mtime_ns if path.exists() else 0, time.monotonic() + 200
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.stat().st_mtime_ns > before:
                return
            time.sleep(0.005)

    last = tmp_path / "run" / "last.ckpt"
    killed = start()
    await_another(last, killed)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint_to_resume("auto", "ctvit", tmp_path / "run") == str(last)
    told = start("resume=auto")
    await_another(last, told)
    told.send_signal(signal.SIGTERM)
    out, err = told.communicate(timeout=60)
    assert told.returncode == 128 + signal.SIGTERM, err
    assert f"going on from {last}" in out
    assert f"saved {last}: SIGTERM after step" in err
    assert "Traceback" not in err
