"""A server that is killed leaves whole files and hidden beginnings, which the next one removes."""

import json
import os
import signal
import time

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from generatect.files import sha256_of_file
from generatect.web.history import STALE_SECONDS, made, sweep
from tests.web.conftest import PROMPT, QUICK


def whole(path) -> bool:
    if path.name.endswith(".nii.gz"):
        return np.asanyarray(nib.load(path).dataobj).shape == (192, 192, 17)
    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
        return True
    sidecar = json.loads(path.read_text())
    return sidecar["volume_sha256"] == sha256_of_file(path.with_name(f"{path.stem}.nii.gz"))


def test_kill_minus_nine_while_it_writes(start_server):
    served = start_server()
    job = served.ask("/api/jobs", method="POST", body={"prompt": PROMPT, **QUICK}).json
    served.wait(job["id"], lambda job: job["stages"])
    started = time.monotonic()
    while not list(served.output.glob(".*.part")):
        assert time.monotonic() - started < 120
        time.sleep(0.002)
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait()
    left = list(served.output.iterdir())
    assert left
    assert [path.name for path in left if not path.name.startswith(".") and not whole(path)] == []
    assert [entry["volume"] for entry in made(served.output)] == [
        f"made/{path.stem}" for path in left if path.suffix == ".json"
    ]
    for path in served.output.glob(".*.part"):
        os.utime(path, times=(time.time() - STALE_SECONDS - 1,) * 2)
    sweep(served.output)
    assert [path for path in served.output.iterdir() if path.name.startswith(".")] == []


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    (tmp_path / ".now.nii.gz.abc.part").write_bytes(b"x")
    sweep(tmp_path)
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_cleanly(start_server, number):
    served = start_server()
    job = served.ask("/api/jobs", method="POST", body={"prompt": PROMPT, "steps": 900}).json
    served.wait(job["id"], lambda job: job["stages"])
    started = time.monotonic()
    served.process.send_signal(number)
    served.process.wait(60)
    assert time.monotonic() - started < 30
    assert list(served.output.iterdir()) == []
