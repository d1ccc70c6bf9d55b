"""A run keeps its identity, and its record names no place and nobody."""

import getpass
import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from generatect.loggers import code_version as module
from generatect.loggers.code_version import code_version
from generatect.loggers.hidden_paths import command_without_paths, without_paths
from generatect.loggers.run import Run, open_run


def opened(folder: Path, from_step: int, checkpoints: str = "aa") -> Run:
    return open_run(folder, "ctvit", settings={}, code={}, command=["x"], from_step=from_step, checkpoints=checkpoints)


def test_a_resumed_run_is_the_same_run(tmp_path):
    first, again = opened(tmp_path, 0), opened(tmp_path, 5)
    assert (again.id, again.is_resumed, first.is_resumed) == (first.id, True, False)
    content = json.loads((tmp_path / "run.json").read_text())
    assert [start["from_step"] for start in content["starts"]] == [0, 5]


def test_what_is_another_run_gets_another_name(tmp_path):
    first = opened(tmp_path, 0)
    fresh, elsewhere = opened(tmp_path, 0), opened(tmp_path, 5, checkpoints="bb")
    assert len({first.id, fresh.id, elsewhere.id}) == 3
    assert not fresh.is_resumed
    assert not elsewhere.is_resumed


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"starts": 3}'])
def test_a_damaged_record_starts_a_new_one(tmp_path, damage):
    first = opened(tmp_path, 0)
    (tmp_path / "run.json").write_text(damage)
    again = opened(tmp_path, 5)
    assert again.id != first.id
    assert not again.is_resumed


def test_the_commit_and_whether_files_differ_from_it(tmp_path, monkeypatch):
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=Zquser", "-c", "user.email=zquser@zqhost")
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True
        ).stdout

    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert code_version(torch.device("cpu"), 1)["commit"] is None
    git("init")
    (tmp_path / "file").write_text("a")
    git("add", ".")
    git("commit", "-m", "x")
    clean = code_version(torch.device("cpu"), 2)
    (tmp_path / "file").write_text("b")
    changed = code_version(torch.device("cpu"), 2)
    assert clean["commit"] == changed["commit"] == git("rev-parse", "HEAD").strip()
    assert (clean["uncommitted_changes"], changed["uncommitted_changes"]) == (False, True)
    assert clean["torch"] == torch.__version__
    assert (clean["device"], clean["num_processes"]) == ("cpu", 2)
    content = json.dumps(clean)
    for private in (getpass.getuser(), platform.node(), str(tmp_path), "zquser"):
        assert f'"{private}' not in content


def test_paths_are_hidden_and_names_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "patients").mkdir()
    (tmp_path / "patients" / "Smith").touch()
    settings = {
        "data": {"root": "/data/ct", "table": "patients/Smith", "list": ["s3://bucket/ct", r"C:\ct"]},
        "cache_dir": "~/.cache",
        "encoder": "google/t5-v1_1-base",
        "experiments": "base/ctvit",
        "seed": 3,
        "tokenizer": None,
    }
    assert without_paths(settings) == {
        "data": {"root": "…", "table": "…", "list": ["…", "…"]},
        "cache_dir": "…",
        "encoder": "google/t5-v1_1-base",
        "experiments": "base/ctvit",
        "seed": 3,
        "tokenizer": None,
    }
    command = ["stage=ctvit", "data.root=/data/ct", "-m", "/x.yaml", "a.b='/data/x'", "steps=3"]
    assert command_without_paths(command) == ["stage=ctvit", "data.root=…", "-m", "…", "a.b=…", "steps=3"]
