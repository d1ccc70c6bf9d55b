"""W&B is a guest: it never asks, never ends a training, and is refused in time where it cannot work."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generatect.errors import InputError
from generatect.loggers.run import Run
from generatect.loggers.wandb_run import WandbLog
from tests.loggers.wandb_files import read_wandb, read_wandb_file, wandb_paths

# A run whose W&B process dies, and one whose server is not there; both must reach their end within the time limit.
HOSTILE = """
import os, signal, sys, time
from pathlib import Path
from generatect.loggers import wandb_run
from generatect.loggers.run import Run

def children():
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return [int(s.split()[0]) for s in stats if int(s.rpartition(")")[2].split()[1]) == os.getpid()]

wandb_run.WAIT_S = 2
folder = Path(sys.argv[1])
os.environ |= {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:1"}
unreachable = wandb_run.WandbLog(folder=str(folder / "unreachable"))
unreachable.begin(Run("0123abcd", folder, "ctvit", {}, {}, False), 0)
unreachable.log_metrics({"train/loss": 0.5}, step=0)
unreachable.finalize("success")

killed = wandb_run.WandbLog(folder=str(folder / "killed"), mode="offline")
killed.begin(Run("0123abce", folder, "ctvit", {}, {}, False), 0)
killed.log_metrics({"train/loss": 0.5}, step=0)
for pid in children():
    os.kill(pid, signal.SIGKILL)
for step in range(1, 20):
    killed.log_metrics({"train/loss": 0.5}, step=step)
    time.sleep(0.05)
killed.finalize("success")
print("reached the end")
"""


def begun(folder: Path, done: int = 0, is_resumed: bool = False, **settings) -> WandbLog:
    logger = WandbLog(folder=str(folder), mode="offline", **settings)
    logger.begin(Run("0123abcd", folder, "ctvit", {"seed": 3}, {"torch": "2"}, is_resumed), done)
    return logger


@pytest.fixture
def nobody_logged_in(monkeypatch, tmp_path):
    """A machine without a key."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


def test_online_without_a_login_is_refused_before_anything_is_built(command, nobody_logged_in, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # what reads it fails
    ended = command("train", "logger=wandb", f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "wandb login" in ended.err
    assert "logger.wandb.mode=offline" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_login_is_recognised_wherever_wandb_puts_it(nobody_logged_in, monkeypatch):
    nobody_logged_in.write_text("machine wandb.example.org\n  login user\n  password 0123\n")
    nobody_logged_in.chmod(0o600)
    assert WandbLog(folder="x").mode == "online"
    nobody_logged_in.write_text("machine example.org\n  login somebody\n  password 0123\n")
    with pytest.raises(InputError, match="nobody is logged in"):
        WandbLog(folder="x")
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    assert WandbLog(folder="x").mode == "online"


def test_the_mode_is_the_settings_or_else_the_environments(nobody_logged_in, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert WandbLog(folder="x").mode == "offline"
    assert WandbLog(folder="x", mode="disabled").mode == "disabled"
    with pytest.raises(InputError, match=r"logger\.wandb\.mode=of: expected online, offline, disabled"):
        WandbLog(folder="x", mode="of")


def test_disabled_writes_nothing(tmp_path):
    logger = WandbLog(folder=str(tmp_path), mode="disabled")
    logger.begin(Run("0123abcd", tmp_path, "ctvit", {}, {}, False), 0)
    logger.log_metrics({"train/loss": 0.5}, step=0)
    logger.finalize("success")
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_sends_nothing_twice(tmp_path):
    first = begun(tmp_path)
    for batch in range(7):
        first.log_metrics({"train/loss": batch / 3}, step=batch)
    first.finalize("failed")
    before = read_wandb(tmp_path)
    time.sleep(1)  # W&B names its folders by the second
    again = begun(tmp_path, 5, is_resumed=True)  # its checkpoint is of step 5
    again.log_metrics({"val/loss": 0.25}, step=4)  # and owes a validation
    for batch in range(5, 9):
        again.log_metrics({"train/loss": batch / 3}, step=batch)
    again.finalize("success")
    (path,) = (path for path in wandb_paths(tmp_path) if path.parent != before.folder)
    after = read_wandb_file(path)
    assert after.run.run_id == before.run.run_id == "0123abcd"
    assert before.values("train/loss") == {step: (step - 1) / 3 for step in range(1, 8)}
    assert after.values("train/loss") == {step: (step - 1) / 3 for step in (8, 9)}
    assert after.values("val/loss") == {5: 0.25}
    assert [row["_step"] for row in before.history + after.history] == list(range(10))


def test_private_columns_and_pictures_stay_unless_asked_for(tmp_path):
    for name, private in (("kept", False), ("sent", True)):
        logger = begun(tmp_path / name, upload_private=private)
        logger.log_table("tables/validation", ["item", "prompt", "psnr"], [[0, "Zqreport", 30.0]], ["prompt"], 3)
        logger.log_picture(
            "previews/validation", Path(__file__).parents[2] / "docs/images/generated.png", "Zqcaption", 3
        )
        logger.finalize("success")
    kept, sent = read_wandb(tmp_path / "kept"), read_wandb(tmp_path / "sent")
    assert kept.values("tables/validation.ncols") == {3: 2}
    assert sent.values("tables/validation.ncols") == {3: 3}
    assert sent.values("previews/validation.caption") == {3: "Zqcaption"}
    found = {text for text in (b"Zqreport", b"Zqcaption") for file in kept.folder.rglob("*") if _has(file, text)}
    assert found == set()
    assert not list(kept.folder.rglob("*.png"))
    assert any(_has(file, b"Zqreport") for file in sent.folder.rglob("*"))  # the search finds what is there


def test_neither_a_dead_process_nor_an_absent_server_ends_a_run(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "reached the end"
    warnings = ended.stderr.splitlines()
    assert [line.split(" (")[0] for line in warnings] == [
        "warning: W&B cannot be reached, the run is kept offline",
        "warning: W&B takes no numbers any more",
    ]
    assert read_wandb(tmp_path / "unreachable").values("train/loss") == {1: 0.5}


def _has(path: Path, text: bytes) -> bool:
    return path.is_file() and text in path.read_bytes()
