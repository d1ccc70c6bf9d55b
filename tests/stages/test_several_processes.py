"""Training in two processes that plain python starts: one codebook, one cache, one voice, one error."""

import os
import subprocess
import sys
import time

import pytest
import torch

# What a user runs, and at its end what the codebook of this process has become.
SCRIPT = """
import sys, torch
from generatect.config.command import run_command
from generatect.stages.ctvit import CTViTStage
from generatect.train import train

def keep(stage):
    state = {"codebook": stage.ctvit.quantizer.codebook, "cluster_size": stage.ctvit.quantizer.cluster_size}
    torch.save(state, f"rank{stage.global_rank}.pt")

CTViTStage.on_train_end = keep
run_command("train", train)
"""
# One process fails, as for a scan that it alone has met.
FAILING = SCRIPT.replace(
    "CTViTStage.on_train_end = keep",
    """
from generatect.errors import InputError
before = CTViTStage.train_on

def fail(stage, batch, batch_idx):
    if stage.global_rank == 1 and batch_idx == 1:
        raise InputError("scan_7.nii.gz: cannot be read; expected a NIfTI file")
    before(stage, batch, batch_idx)

CTViTStage.train_on = fail
""",
)


@pytest.fixture
def run_two(tmp_path):
    """Function that trains in two processes and returns how the first ended."""

    def run(*overrides: str, script: str = SCRIPT) -> subprocess.CompletedProcess:
        (tmp_path / "script.py").write_text(script)
        small = ["model=tiny", "data.pairs.num=20", "steps=4", "val_every=4", "stage.datamodule.batch_size=2"]
        two = ["strategy=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
        where = [f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"]
        return subprocess.run(
            [sys.executable, "script.py", *small, *two, *where, *overrides],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_both_processes_end_with_one_codebook(run_two, tmp_path):
    ended = run_two("stage=ctvit")
    assert ended.returncode == 0, ended.stderr
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first["codebook"], second["codebook"])
    assert torch.equal(first["cluster_size"], second["cluster_size"])
    assert ended.stdout.count("volumes to train") == 1
    assert (tmp_path / "out" / "ctvit.safetensors").is_file()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_an_error_in_one_process_ends_both_in_one_line(run_two, strategy):
    start = time.monotonic()
    ended = run_two("stage=ctvit", f"strategy={strategy}", "~callbacks.throughput", script=FAILING)
    assert ended.returncode != 0
    assert ended.stderr.count("scan_7.nii.gz") == 1
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - start < 200  # and not after the half hour that a collective waits
