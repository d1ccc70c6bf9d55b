"""A checkpoint is written whole, or not at all and said so."""

import pickle
import resource
import subprocess
from contextlib import contextmanager

import pytest
import torch

from generatect.checkpoints.durable import LATEST, PREVIOUS, DurableCheckpointIO, num_bytes, remove_unfinished
from generatect.errors import InputError
from generatect.stages.base import Stage

MEGABYTE = 1_000_000


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12000000", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a filesystem can only be mounted by root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@contextmanager
def files_up_to(num_bytes: int):
    """Makes every write beyond so many bytes of a file fail, as on a full disk; what is free looks as ever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(value: float, megabytes: float = 3) -> dict:
    return {"weights": [torch.full((int(megabytes * MEGABYTE / 4),), float(value))], "step": 1}


def value_of(path) -> float:
    return DurableCheckpointIO().load_checkpoint(path)["weights"][0][0].item()


def test_the_last_two_are_kept(tmp_path):
    for value in (1, 2, 3):
        DurableCheckpointIO().save_checkpoint(content(value), tmp_path / LATEST)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LATEST, PREVIOUS]
    assert (value_of(tmp_path / LATEST), value_of(tmp_path / PREVIOUS)) == (3, 2)


def test_where_there_is_no_room_the_last_two_stay(small_disk):
    for value in (1, 2):
        DurableCheckpointIO().save_checkpoint(content(value), small_disk / LATEST)
    before = {path.name: path.read_bytes() for path in small_disk.iterdir()}
    with pytest.raises(InputError, match=r"needs 9 MB, but \d+ MB are free there") as refused:
        DurableCheckpointIO().save_checkpoint(content(3, megabytes=8), small_disk / LATEST)
    assert "\n" not in str(refused.value)
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == before


def test_a_write_that_fails_half_way_leaves_the_last_two(tmp_path):
    for value in (1, 2):
        DurableCheckpointIO().save_checkpoint(content(value), tmp_path / LATEST)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with files_up_to(2 * MEGABYTE), pytest.raises(InputError, match="File too large") as refused:
        DurableCheckpointIO().save_checkpoint(content(3), tmp_path / LATEST)
    assert str(tmp_path / LATEST) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_training_on_a_full_disk_ends_with_one_line(command, small_disk, tmp_path):
    settings = ("model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    every = ("steps=40", "val_every=2", "~callbacks.previews", "callbacks.checkpoint.keep=9")
    ended = command("train", *settings, *every, f"output={small_disk}", f"cache_dir={tmp_path}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "MB are free there" in ended.err
    assert (small_disk / LATEST).is_file()
    assert not list(small_disk.glob("**/.*"))
    for path in small_disk.glob("**/*.ckpt"):
        torch.load(path, weights_only=True)


def test_a_folder_that_turns_read_only_ends_the_training(command, small_disk, tmp_path, monkeypatch):
    """Lightning's own writer would say nothing and train on."""
    begin = Stage.on_train_batch_start

    def start(stage: Stage, batch: dict, batch_idx: int) -> None:
        begin(stage, batch, batch_idx)
        if batch_idx == 3:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "over-it", small_disk], check=True)

    monkeypatch.setattr(Stage, "on_train_batch_start", start)
    settings = ("model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    every = ("steps=8", "val_every=8", "callbacks.latest.every=2", "~callbacks.previews", "logger={}")
    ended = command("train", *settings, *every, f"output={small_disk}", f"cache_dir={tmp_path}")
    subprocess.run(["umount", small_disk], check=True)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "Read-only file system" in ended.err
    assert torch.load(small_disk / LATEST, weights_only=True)["global_step"] >= 2


def test_a_folder_that_is_none_is_said_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        DurableCheckpointIO().save_checkpoint(content(1), tmp_path / "file" / LATEST)


def test_errors_that_are_none_of_the_disk_keep_their_trace(tmp_path):
    class Stubborn:
        def __reduce__(self):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        DurableCheckpointIO().save_checkpoint({"weights": Stubborn()}, tmp_path / LATEST)
    assert not list(tmp_path.iterdir())


def test_room_is_asked_for_what_a_file_takes(tmp_path):
    shared = torch.zeros(500_000)
    given = {"one": shared, "again": shared.view(500, 1000), "part": [shared[:3]], "other": (torch.zeros(9, 9),)}
    torch.save(given, tmp_path / "file")
    assert 0 < num_bytes(given) - (tmp_path / "file").stat().st_size < 1.1 * MEGABYTE


def test_nothing_in_a_file_is_executed(tmp_path):
    class Hostile:
        def __reduce__(self):
            return print, ("executed",)

    torch.save({"state_dict": Hostile()}, tmp_path / LATEST)
    with pytest.raises(pickle.UnpicklingError):
        DurableCheckpointIO().load_checkpoint(tmp_path / LATEST, weights_only=False)


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    left = (f".{LATEST}.x7_a.part", f".{PREVIOUS}.part", ".step-0000002-val-loss-1.ckpt.abc.part")
    kept = (LATEST, PREVIOUS, ".metrics.csv.abc.part", "step-0000002-val-loss-1.ckpt")
    for name in (*left, *kept):
        (tmp_path / name).write_text("")
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
