"""Runs `warm_scenarios.py` for tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("warm_scenarios.py")


def run_scenario(scenario: str, folder: Path, count: int, resumed: int = 1, **environment: str) -> list[dict]:
    """The lines that a scenario printed."""
    path = os.pathsep.join([str(SCRIPT.parents[2]), *filter(None, sys.path)])
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), scenario, str(count), str(resumed), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def other_filesystem(folder: Path) -> Path:
    """A folder for temporary files on another filesystem than `folder`."""
    other = Path("/dev/shm")
    if not (os.access(other, os.W_OK) and other.stat().st_dev != folder.stat().st_dev):
        pytest.skip("no second filesystem here")
    return other


def batches(folder: Path, name: str) -> list[dict]:
    """What a training has seen, in its order: number, names of the samples, state of the random generators."""
    return [note for note in _notes(folder, name) if "batch" in note]


def saves(folder: Path, name: str) -> list[dict]:
    """What it has saved: steps done, and hashes of weights, averaged weights, optimizers and learning rates."""
    return [note for note in _notes(folder, name) if "saved" in note]


def _notes(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
