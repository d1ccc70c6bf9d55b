"""One pass fills the caches that training reads: complete, restartable, and no more than once."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from generatect.data import preparation
from generatect.data.array_file import ArrayFile
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.preparation_steps import VolumeArrays
from generatect.data.processes import in_processes, num_processes
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs
from tests.data.tiny import PRESET, truncate, write_archive
from tests.text.test_conditioner import t5_folder  # noqa: F401  # a fixture

SECRET = "Jane Doe 1234"
KILL = Path(__file__).with_name("kill_preparation.py")
SMALL = ("model=tiny", "workers=1", "device=cpu")


def entries(folder: Path) -> list[Path]:
    """All entries of a cache, each read and checked; nothing else may lie beside them."""
    files = sorted(folder.glob("[0-9a-f][0-9a-f]/*"))
    for path in files:
        assert path.suffix == ".npy", path
        ArrayFile(path, path.stem).whole()
    return files


def record(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "prepared.jsonl").read_text(encoding="utf-8").splitlines()]


def test_killed_twenty_times_the_cache_is_complete_and_whole(command, tmp_path):
    archive, cache = write_archive(tmp_path, 200), tmp_path / "cache"
    settings = [*archive, *SMALL, f"output={tmp_path / 'out'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killer = subprocess.run(
        [sys.executable, str(KILL), *settings], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert killer.returncode == 0, killer.stderr
    kills = [json.loads(line) for line in killer.stdout.splitlines()]
    assert [kill["signal"] for kill in kills] == [signal.SIGKILL] * 20
    assert all(kill["processes"] == (3 if number % 2 == 0 else 1) for number, kill in enumerate(kills))
    assert all(kill["entries"] > kill["before"] for kill in kills)
    assert kills[-1]["entries"] < 600

    ended = command("prepare", *settings)
    assert ended.code == 0, ended.err
    files = entries(cache)
    assert len(files) == 3 * 200  # two resolutions and the facts: nothing missing, nothing twice
    again = command("prepare", *settings)
    assert "volumes: 200 were there (100% hits), 0 made" in again.out
    assert entries(cache) == files
    lines = record(tmp_path / "out")
    assert [line["name"] for line in lines] == [f"scan{number}" for number in range(200)]
    named = {path for line in lines for path in line["files"].values()}
    assert len(named) == 400
    assert named <= {str(path.relative_to(cache)) for path in files}


def test_facts_that_are_damaged_in_the_cache_are_made_again(command, tmp_path):
    archive, output = write_archive(tmp_path, 2), tmp_path / "out"
    settings = (*archive, *SMALL, "resolutions=[low]", f"output={output}")
    assert command("prepare", *settings).code == 0
    expected = record(output)
    facts = min(entries(tmp_path / "cache"), key=lambda path: path.stat().st_size)
    content = bytearray(facts.read_bytes())
    content[140] ^= 1  # within the values; the footer is whole
    facts.write_bytes(content)
    ended = command("prepare", *settings)
    assert ended.code == 0, ended.err
    assert record(output) == expected


@pytest.mark.parametrize("stage", ["ctvit", "transformer", "superres"])
def test_training_afterwards_makes_nothing(command, tiny_weights, tmp_path, stage):
    archive, cache = write_archive(tmp_path, 6), tmp_path / "cache"
    tokenizer = () if stage == "ctvit" else (f"tokenizer={tiny_weights / 'ctvit.safetensors'}",)
    prepared = command("prepare", *archive, *SMALL, *tokenizer, f"output={tmp_path / 'prepared'}")
    assert prepared.code == 0, prepared.err
    files = {path: path.stat().st_mtime_ns for path in entries(cache)}
    assert len(files) == 6 * (3 if stage == "ctvit" else 5)  # with a tokenizer tokens and reconstruction, too
    small = ("model=tiny", "steps=3", "val_every=3", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    quick = ("text_encoder.encoder.num_buckets=64", "~callbacks.previews", "stage.datamodule.val_fraction=0.0")
    output = f"output={tmp_path / 'trained'}"
    ended = command("train", f"stage={stage}", *archive, *small, *quick, *tokenizer, output)
    assert ended.code == 0, ended.err
    assert "once" not in ended.out  # neither "to encode, once" nor "to prepare, once"
    assert {path: path.stat().st_mtime_ns for path in entries(cache)} == files


def test_reports_go_through_a_frozen_encoder_once(command, t5_folder, tmp_path):  # noqa: F811
    archive = [*write_archive(tmp_path, 3), "text_encoder=t5", f"text_encoder.encoder.name_or_path={t5_folder}"]
    settings = (*archive, *SMALL, "resolutions=[low]", f"output={tmp_path / 'out'}")
    first, second = command("prepare", *settings), command("prepare", *settings)
    assert first.code == 0, first.err
    assert "reports: 0 were there (0% hits), 3 made" in first.out
    assert "reports: 3 were there (100% hits), 0 made" in second.out
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 3


def test_bad_volumes_are_left_out_and_recorded(command, tmp_path):
    """By worker processes."""
    archive, output = write_archive(tmp_path, 5), tmp_path / "out"
    truncate(tmp_path / "scans" / "scan1.nii.gz")
    (tmp_path / "scans" / "scan3.nii.gz").write_bytes(b"")
    ended = command("prepare", *archive, *SMALL, "workers=2", f"output={output}")
    assert ended.code == 2
    assert "2 of 5 volumes cannot be read, each listed above" in ended.err
    assert ended.err.count("\n") == 1
    assert "skipped 2 of 5 volumes (unreadable)" in ended.out
    assert all(f"scan{number}.nii.gz: " in ended.out for number in (1, 3))
    told = command("prepare", *archive, *SMALL, "data.on_bad=skip", f"output={output}")
    assert told.code == 0, told.err
    lines = {line["name"]: line for line in record(output)}
    for name in ("scan1", "scan3"):
        assert f"{name}.nii.gz" in lines[name]["left_out"]
    for name in ("scan0", "scan2", "scan4"):
        assert lines[name]["shape_zyx"] == [20, 20, 20]
        assert lines[name]["spacing_mm_zyx"] == [15.075, 19.2, 19.2]
        assert (lines[name]["hu_slope"], lines[name]["hu_intercept"]) == (1.0, 0.0)
        assert lines[name]["hu_policy"]
        assert lines[name]["hu_reason"]
    assert len(entries(tmp_path / "cache")) == 3 * 3


def test_when_most_are_bad_the_pass_ends(command, tmp_path):
    archive = write_archive(tmp_path, 5)
    for number in range(3):
        truncate(tmp_path / "scans" / f"scan{number}.nii.gz")
    ended = command("prepare", *archive, *SMALL, f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "3 of 5 volumes cannot be read, more than half" in ended.err


def test_a_volume_repaired_or_changed_is_made_anew_and_no_other(command, tmp_path):
    archive, root = write_archive(tmp_path, 4), tmp_path / "scans"
    whole = (root / "scan1.nii.gz").read_bytes()
    truncate(root / "scan1.nii.gz")
    settings = (*archive, *SMALL, f"output={tmp_path / 'out'}")
    assert "volumes: 0 were there (0% hits), 3 made" in command("prepare", *settings).out
    (root / "scan1.nii.gz").write_bytes(whole)
    shutil.copy(root / "scan0.nii.gz", root / "scan2.nii.gz")  # the same content is the same entry
    ended = command("prepare", *settings)
    assert "volumes: 3 were there (75% hits), 1 made" in ended.out
    assert len(entries(tmp_path / "cache")) == 4 * 3


def test_no_text_of_a_header_or_report_is_written_anywhere(command, tmp_path):
    archive = write_archive(tmp_path, 2)
    path = tmp_path / "scans" / "scan0.nii.gz"
    image = nib.load(path)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = SECRET
    nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), image.affine, image.header), path)
    ended = command("prepare", *archive, *SMALL, f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    for folder in ("out", "cache"):
        for file in (tmp_path / folder).rglob("*"):
            content = file.read_bytes() if file.is_file() else b""
            assert not any(text in content for text in (SECRET.encode(), b"Clear lungs"))


def test_a_disk_that_will_not_do_is_known_beforehand(command, tmp_path, monkeypatch):
    archive = write_archive(tmp_path, 2)
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 2000))
    ended = command("prepare", *archive, *SMALL, f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "cache_dir=" in ended.err
    assert "make room" in ended.err
    assert entries(tmp_path / "cache") == []


def test_a_disk_that_fills_meanwhile_ends_the_pass_in_time(tmp_path, monkeypatch):
    inputs = ModelInputs(PhantomPairs(num=6), PRESET, ArrayCache(tmp_path))
    steps = [VolumeArrays(inputs, ["low", "high"]).step(1)]
    work = preparation.survey(steps, 6, lambda items, _: items)
    usage, shown = namedtuple("usage", ["total", "used", "free"]), []

    def show(_what: str, done: int, _total: int) -> None:
        shown.append(done)
        if done == 2:  # somebody else fills the disk
            monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))

    monkeypatch.setattr(preparation, "CHECK_SPACE_S", 0.0)
    with pytest.raises(InputError, match="make room"):
        preparation.carry_out(steps, work, tmp_path, show)
    assert shown == [1, 2]
    assert len(entries(tmp_path)) == 4


def test_arrays_are_those_that_training_would_make(tmp_path):
    """Phantoms are painted on each grid, files are resampled from one reading."""
    inputs = ModelInputs(PhantomPairs(num=2), PRESET, ArrayCache(tmp_path))
    assert VolumeArrays(inputs, ["low", "high"]).make(1) == (1, None)
    for upscaled in (False, True):
        np.testing.assert_array_equal(
            inputs.cache.read(inputs.array_key(1, upscaled)), ModelInputs(inputs.pairs, PRESET, None).make(1, upscaled)
        )


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("resolutions=[]", "resolutions=[]"),
        ("resolutions=[low,medium]", "expected [low], [high] or [low,high]"),
        ("workers=0", "workers=0"),
        ("workers=many", "workers=many"),
        ("batch_size=0", "batch_size=0"),
        ("device=abacus", "device=abacus"),
        ("data.cache_dir=elsewhere", "data.cache_dir=elsewhere"),
        ("tokenizer=absent.safetensors", "absent.safetensors"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(command, tmp_path, setting, part):
    ended = command("prepare", *write_archive(tmp_path, 1), *SMALL, f"output={tmp_path / 'out'}", setting)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert part in ended.err
    assert not list(tmp_path.rglob("*.npy"))


def square(number: int) -> int:
    return number * number


def end_violently(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    raise InputError(f"item {number} is refused")


class TestProcesses:
    @pytest.mark.parametrize("num_workers", [1, 3])
    def test_every_item_is_worked_on_once(self, num_workers):
        assert sorted(in_processes(square, range(50), num_workers, "fork")) == [n * n for n in range(50)]
        assert list(in_processes(square, [], num_workers, "fork")) == []

    def test_a_killed_worker_is_one_line(self):
        with pytest.raises(InputError, match="workers=2: a worker process was killed"):
            list(in_processes(end_violently, range(50), 2, "fork"))

    def test_an_error_in_a_worker_is_the_same_error(self):
        with pytest.raises(InputError, match="item 0 is refused"):
            list(in_processes(refuse, [0], 2, "fork"))

    def test_each_has_one_thread_and_this_process_keeps_its_own(self):
        before = os.environ.get("OMP_NUM_THREADS")
        assert set(in_processes(os.getenv, ["OMP_NUM_THREADS"] * 4, 2, "fork")) == {"1"}
        assert os.environ.get("OMP_NUM_THREADS") == before

    def test_auto_takes_no_more_than_memory_allows(self):
        assert num_processes("auto", 1e18) == 1
        assert num_processes("auto", 1.0) == len(os.sched_getaffinity(0))
        assert num_processes(7, 1e18) == 7
