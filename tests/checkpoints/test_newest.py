"""Which checkpoint a broken-off run goes on from, when the newest is damaged."""

import os
import random
import shutil
import zipfile

import pytest
import torch

from generatect.checkpoints.durable import LATEST, PREVIOUS
from generatect.checkpoints.newest import checkpoint_to_resume, newest_checkpoint
from generatect.checkpoints.resume import RUN_KEY
from generatect.errors import InputError

BEST = "checkpoints/step-0000004-val-loss-0.5.ckpt"


@pytest.fixture
def run_folder(tiny_weights, tmp_path):
    """A run's folder with two whole checkpoints."""
    for name in (LATEST, PREVIOUS):
        shutil.copy(tiny_weights / "ctvit.ckpt", tmp_path / name)
    return tmp_path


@pytest.fixture
def write(tiny_weights, tmp_path):
    """Function that writes a checkpoint of some run after so many steps, later than those before."""
    content = torch.load(tiny_weights / "ctvit.ckpt", weights_only=True)
    clock = iter(range(1_000_000_000, 2_000_000_000, 10))

    def checkpoint(name: str, steps: int, run: str = "this") -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["processed"] = steps
        torch.save({**content, RUN_KEY: run}, path)
        os.utime(path, (time := next(clock), time))

    return checkpoint


def damage(content: bytes, payload: list[range], others: list[bytes], chance: random.Random) -> bytes:
    """A checkpoint cut short, with some bits of its tensors changed, with zeros in it, empty, or another file."""
    kind = chance.choice(("cut", "changed", "one bit", "zeros", "all zeros", "empty", "other"))
    if kind == "cut":
        return content[: chance.randrange(len(content) - 1)]
    if kind in ("all zeros", "empty"):
        return bytes(len(content) if kind == "all zeros" else 0)
    if kind == "other":
        return chance.choice(others)
    damaged = bytearray(content)
    places = chance.choice([places for places in payload if len(places) > 64])
    start = chance.randrange(places.start, places.stop - 32)
    if kind == "one bit":
        damaged[start] ^= 1 << chance.randrange(8)
        return bytes(damaged)
    for place in range(start, start + 32):
        damaged[place] = 0 if kind == "zeros" else damaged[place] ^ 0x55
    return bytes(damaged) if bytes(damaged) != content else content[:-1]


def test_fifty_damaged_ones_fall_back_and_say_so(run_folder, tiny_weights, capsys):
    whole, chance = (run_folder / LATEST).read_bytes(), random.Random(0)
    others = [(tiny_weights / name).read_bytes() for name in ("superres.ckpt", "ctvit.safetensors")] + [b"step,loss\n"]
    with zipfile.ZipFile(run_folder / LATEST) as archive:  # stored, not compressed: data follows its local header
        payload = [
            range(entry.header_offset + 512, entry.header_offset + entry.file_size) for entry in archive.filelist
        ]
    for _ in range(50):
        (run_folder / LATEST).write_bytes(damage(whole, payload, others, chance))
        assert checkpoint_to_resume("auto", "ctvit", run_folder) == str(run_folder / PREVIOUS)
        said = capsys.readouterr()
        assert said.err.startswith(f"skipped: resume={run_folder / LATEST}: ")
        assert said.err.count("\n") == 1
        assert said.out == ""
        with pytest.raises(InputError, match=f"resume={run_folder / LATEST}: "):
            checkpoint_to_resume(str(run_folder / LATEST), "ctvit", run_folder)


def test_the_newest_whole_one_is_taken(run_folder):
    assert newest_checkpoint(run_folder, "ctvit").path == run_folder / LATEST
    assert newest_checkpoint(run_folder, "superres").path is None  # of another stage
    assert checkpoint_to_resume("auto", "ctvit", run_folder / "empty") is None


def test_without_a_whole_one_a_run_does_not_start_over_its_ruins(run_folder):
    for name in (LATEST, PREVIOUS):
        (run_folder / name).write_bytes(b"")
    with pytest.raises(InputError, match="no whole checkpoint"):
        checkpoint_to_resume("auto", "ctvit", run_folder)


def test_a_best_one_kept_after_the_last_is_newer(write, tmp_path):
    for name, steps in ((PREVIOUS, 2), (LATEST, 3), (BEST, 4)):
        write(name, steps)
    assert newest_checkpoint(tmp_path, "ctvit").path == tmp_path / BEST


def test_with_both_last_ones_damaged_the_best_one_is_taken(write, tmp_path):
    for name, steps in ((BEST, 1), (PREVIOUS, 2), (LATEST, 3)):
        write(name, steps)
    for name in (PREVIOUS, LATEST):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    newest = newest_checkpoint(tmp_path, "ctvit")
    assert newest.path == tmp_path / BEST
    assert len(newest.skipped) == 2


def test_steps_that_were_gone_back_from_are_not_gone_on_with(write, tmp_path):
    for name, steps in ((BEST, 4), (PREVIOUS, 5), (LATEST, 3)):
        write(name, steps)
    assert newest_checkpoint(tmp_path, "ctvit").path == tmp_path / LATEST


def test_an_earlier_run_in_the_same_folder_is_left_alone(write, tmp_path):
    for name, steps, run in ((BEST, 4, "earlier"), (PREVIOUS, 5, "earlier"), (LATEST, 3, "this")):
        write(name, steps, run)
    os.utime(tmp_path / BEST, (1_900_000_000, 1_900_000_000))  # copied, so that it looks new
    assert newest_checkpoint(tmp_path, "ctvit").path == tmp_path / LATEST


def test_weights_alone_are_no_run(tiny_weights, tmp_path):
    content = torch.load(tiny_weights / "ctvit.ckpt", weights_only=True)
    del content["loops"]
    torch.save(content, tmp_path / "weights.ckpt")
    with pytest.raises(InputError, match="holds weights alone"):
        checkpoint_to_resume(str(tmp_path / "weights.ckpt"), "ctvit", tmp_path)
