"""Which checkpoint a broken-off run goes on from, when the newest is damaged."""

import random
import shutil
import zipfile

import pytest

from generatect.callbacks.latest import keep_previous
from generatect.checkpoints.newest import LATEST, PREVIOUS, checkpoint_to_resume, newest_checkpoint
from generatect.errors import InputError


@pytest.fixture
def run_folder(tiny_weights, tmp_path):
    """A run's folder with two whole checkpoints."""
    for name in (LATEST, PREVIOUS):
        shutil.copy(tiny_weights / "ctvit.ckpt", tmp_path / name)
    return tmp_path


def damage(content: bytes, payload: list[range], chance: random.Random) -> bytes:
    """A checkpoint cut short, with some bytes of its tensors changed, or with a stretch of zeros."""
    kind = chance.choice(("cut", "changed", "zeros"))
    if kind == "cut":
        return content[: chance.randrange(len(content) - 1)]
    damaged = bytearray(content)
    places = chance.choice([places for places in payload if len(places) > 64])
    start = chance.randrange(places.start, places.stop - 32)
    for place in range(start, start + 32):
        damaged[place] = 0 if kind == "zeros" else damaged[place] ^ 0x55
    return bytes(damaged) if bytes(damaged) != content else content[:-1]


def test_fifty_damaged_ones_fall_back_and_say_so(run_folder):
    whole, chance = (run_folder / LATEST).read_bytes(), random.Random(0)
    with zipfile.ZipFile(run_folder / LATEST) as archive:  # stored, not compressed: data follows its local header
        payload = [
            range(entry.header_offset + 512, entry.header_offset + entry.file_size) for entry in archive.filelist
        ]
    for _ in range(50):
        (run_folder / LATEST).write_bytes(damage(whole, payload, chance))
        newest = newest_checkpoint(run_folder, "ctvit")
        assert newest.path == run_folder / PREVIOUS
        assert len(newest.skipped) == 1
        assert str(run_folder / LATEST) in newest.skipped[0]
        assert "\n" not in newest.skipped[0]


def test_the_newest_whole_one_is_taken(run_folder):
    assert newest_checkpoint(run_folder, "ctvit").path == run_folder / LATEST
    assert newest_checkpoint(run_folder, "superres").path is None  # of another stage
    assert checkpoint_to_resume("auto", "ctvit", run_folder / "empty") is None


def test_without_a_whole_one_a_run_does_not_start_over_its_ruins(run_folder):
    for name in (LATEST, PREVIOUS):
        (run_folder / name).write_bytes(b"")
    with pytest.raises(InputError, match="no whole checkpoint"):
        checkpoint_to_resume("auto", "ctvit", run_folder)


def test_the_one_before_stays(tmp_path):
    path = tmp_path / LATEST
    keep_previous(path)
    assert not (tmp_path / PREVIOUS).exists()
    for content in ("one", "two"):
        path.write_text(content)
        keep_previous(path)
        path.unlink()  # as a rename over it would
        assert (tmp_path / PREVIOUS).read_text() == content
    assert [file.name for file in tmp_path.iterdir()] == [PREVIOUS]
