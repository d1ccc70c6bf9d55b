"""The CSV of a run: each step once, whatever broke off."""

import csv
from pathlib import Path

import pytest

from generatect.loggers.csv_file import MetricsCSV
from generatect.loggers.run import Run


def begun(path: Path, done: int = 0, is_resumed: bool = False) -> MetricsCSV:
    logger = MetricsCSV(path=str(path))
    logger.begin(Run("0123abcd", path.parent, "ctvit", {}, {}, is_resumed), done)
    return logger


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path) -> Path:
    """A file with steps 1 to 7, validated at 5."""
    path = tmp_path / "logs" / "metrics.csv"
    logger = begun(path)
    for batch in range(7):
        logger.log_metrics({"train/learning_rate": 0.1, "epoch": 0}, step=batch)
        logger.log_metrics({"train/loss": batch / 3, "epoch": 0}, step=batch)
        if batch == 4:
            logger.log_metrics({"val/loss": 0.25, "epoch": 0}, step=batch)
    return path


def test_what_is_logged_apart_is_one_row_per_step(path):
    assert [row["step"] for row in rows(path)] == list("1234567")
    assert list(rows(path)[0]) == ["step", "train/learning_rate", "train/loss", "val/loss"]
    assert [float(row["train/loss"]) for row in rows(path)] == [batch / 3 for batch in range(7)]  # to the last bit
    assert [row["val/loss"] for row in rows(path)] == ["", "", "", "", "0.25", "", ""]


def test_a_row_is_on_the_disk_at_once(path):
    logger = begun(path, 7, is_resumed=True)
    logger.log_metrics({"train/learning_rate": 0.3}, step=7)
    assert rows(path)[-1] == {"step": "8", "train/learning_rate": "0.3", "train/loss": "", "val/loss": ""}
    logger.log_metrics({"train/learning_rate": 0.3, "train/loss": 12345.678}, step=7)
    logger.log_metrics({"train/loss": 1.0}, step=7)  # shorter than what it replaces
    assert rows(path)[-1] == {"step": "8", "train/learning_rate": "0.3", "train/loss": "1.0", "val/loss": ""}
    assert len(rows(path)) == 8


@pytest.mark.parametrize("damage", ["", "8,0.1,", "8,0.1,0.3,\n9,0", "8,0.1\n"], ids=["whole", "torn", "behind", "cut"])
def test_a_resumed_run_has_each_step_once(path, damage):
    before = rows(path)
    path.with_name(".metrics.csv.abc.part").touch()  # killed while it rewrote the file
    with open(path, "a", encoding="utf-8") as file:
        file.write(damage)
    logger = begun(path, 5, is_resumed=True)  # it broke off after step 7, its checkpoint is of step 5
    assert rows(path) == before[:5]
    assert list(path.parent.iterdir()) == [path]
    logger.log_metrics({"val/other": 2.0}, step=4)  # a validation that was still owed
    for batch in range(5, 9):
        logger.log_metrics({"train/loss": 0.0}, step=batch)
    assert [row["step"] for row in rows(path)] == list("123456789")
    assert rows(path)[4] == {**before[4], "val/other": "2.0"}


@pytest.mark.parametrize("place", range(0, 130, 13))
def test_a_file_cut_anywhere_can_be_gone_on_with(path, place):
    path.write_bytes(path.read_bytes()[:place])
    logger = begun(path, 2, is_resumed=True)
    logger.log_metrics({"train/loss": 0.0}, step=2)
    steps = [int(row["step"]) for row in rows(path)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 3


def test_a_fresh_run_leaves_the_file_of_the_one_before(path):
    before = path.read_bytes()
    begun(path).log_metrics({"train/loss": 0.5}, step=0)
    assert rows(path) == [{"step": "1", "train/loss": "0.5"}]
    second = path.read_bytes()
    begun(path)
    assert path.with_name("metrics-1.csv").read_bytes() == before
    assert path.with_name("metrics-2.csv").read_bytes() == second
