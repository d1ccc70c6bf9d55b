"""Volumes that cannot be read: the first ends the run, or all are left out, counted and listed, and nothing stalls."""

import csv
import multiprocessing
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from generatect.data.bad_volumes import MAX_IN_A_ROW, BadVolumes
from generatect.data.cache import CacheError
from generatect.data.ctvit_data import CTViTData
from generatect.data.sampler import EndlessShuffle
from generatect.data.superres_data import SuperResData
from generatect.data.transformer_data import TransformerData
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs
from tests.data.tiny import PRESET, make_tokenizer, truncate, write_archive


class DamagedPairs(PhantomPairs):
    """Phantoms of which some cannot be read."""

    def __init__(self, num: int, bad: set[int]) -> None:
        super().__init__(num=num)
        self.bad = bad

    def model_input(self, index, preset, upscaled=False):
        if index in self.bad:
            raise InputError(f"{self.name(index)}.nii.gz: truncated; copy it again")
        return super().model_input(index, preset, upscaled)


def make_module(kind: str, pairs: PhantomPairs, folder: Path, **settings: object):
    common = {"pairs": pairs, "preset": PRESET, "batch_size": 2, **settings}
    later = {"tokenizer": make_tokenizer(0), "tokenizer_sha256": "s"}
    match kind:
        case "ctvit":
            return CTViTData(**common)
        case "transformer":
            return TransformerData(token_cache_dir=str(folder / "cache"), **later, **common)
        case _:
            return SuperResData(cache_dir=str(folder / "cache"), **later, **common)


def listed(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["volume", "reason"]
    assert all(row[1] for row in rows)
    return [row[0] for row in rows]


def skipping(folder: Path) -> dict[str, str]:
    return {"on_bad": "skip", "skipped_file": str(folder / "skipped.csv")}


KINDS = ("ctvit", "transformer", "superres")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_ends_the_run_unless_told_otherwise(tmp_path, kind):
    data = make_module(kind, DamagedPairs(8, {3}), tmp_path, val_fraction=0.0)

    def whole_pass() -> None:
        data.setup()
        for index in range(8):
            data.train_data[index, index]

    with pytest.raises(InputError, match=r"phantom-000003.nii.gz: truncated"):
        whole_pass()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_ones_are_left_out_and_listed_once(tmp_path, kind, num_workers):
    pairs, bad = DamagedPairs(20, {2, 3, 4, 11}), {2, 3, 4, 11}
    data = make_module(kind, pairs, tmp_path, val_fraction=0.3, num_workers=num_workers, **skipping(tmp_path))
    assert bad & set(data.train_indices)
    assert bad & set(data.val_indices)
    data.setup()
    seen = [name for batch in data.val_dataloader() for name in batch["name"]]
    batches = iter(data.train_dataloader())
    seen += [name for _ in range(30) for name in next(batches)["name"]]
    names = {pairs.name(index) for index in bad}
    assert set(seen) == {pairs.name(index) for index in range(20)} - names
    assert sorted(listed(tmp_path / "skipped.csv")) == sorted(names)
    assert data.bad.num_listed() == 4


def test_the_next_good_volume_stands_in_and_the_others_stay_where_they_are(tmp_path):
    pairs = DamagedPairs(12, {5, 6})
    data = make_module("ctvit", pairs, tmp_path, val_fraction=0.0, **skipping(tmp_path))
    data.setup()
    names = [data.train_data[position, position]["name"] for position in range(12)]
    expected = [pairs.name(7 if index in (5, 6) else index) for index in range(12)]
    assert names == expected
    last = make_module("ctvit", DamagedPairs(4, {3}), tmp_path, val_fraction=0.0, **skipping(tmp_path))
    last.setup()
    assert last.train_data[0, 3]["name"] == pairs.name(0)  # after the last comes the first


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_does_not_depend_on_what_was_read_before(tmp_path, kind):
    """A resumed run meets the bad volumes in another order, in other workers."""

    def items(start: int) -> list:
        folder = tmp_path / f"{start}"
        data = make_module(kind, DamagedPairs(10, {1, 2, 7}), folder, val_fraction=0.0, **skipping(folder))
        data.setup()
        sampler = iter(EndlessShuffle(len(data.train_data), seed=3, start=start))
        return [data.train_data[next(sampler)] for _ in range(40 - start)]

    whole, resumed = items(0), items(17)
    for one, other in zip(whole[17:], resumed, strict=True):
        assert one.keys() == other.keys()
        assert all(
            torch.equal(one[key], other[key]) if isinstance(one[key], torch.Tensor) else one[key] == other[key]
            for key in one
        )


@pytest.mark.parametrize("kind", KINDS)
def test_when_most_are_bad_the_run_ends(tmp_path, kind):
    data = make_module(kind, DamagedPairs(9, set(range(0, 9, 2))), tmp_path, val_fraction=0.0, **skipping(tmp_path))

    def whole_pass() -> None:
        data.setup()
        for index in range(9):
            data.train_data[index, index]

    with pytest.raises(InputError, match=r"5 of 9 volumes cannot be read, more than half, see .*skipped.csv"):
        whole_pass()


def test_many_in_a_row_end_the_run_before_half_of_a_large_archive_has_been_tried(tmp_path):
    bad = set(range(5, 5 + MAX_IN_A_ROW))
    data = make_module("ctvit", DamagedPairs(1000, bad), tmp_path, val_fraction=0.0, **skipping(tmp_path))
    data.setup()
    assert data.train_data[0, 6]["name"] == "phantom-000015"
    with pytest.raises(InputError, match="10 volumes in a row cannot be read"):
        data.train_data[1, 5]


@pytest.mark.parametrize("kind", ["transformer", "superres"])
def test_no_validation_volume_left_is_said(tmp_path, kind):
    pairs = DamagedPairs(20, set())
    data = make_module(kind, pairs, tmp_path, val_fraction=0.2, **skipping(tmp_path))
    pairs.bad |= set(data.val_indices)
    with pytest.raises(InputError, match=f"none of {len(data.val_indices)} volumes can be read"):
        data.setup()


def test_a_full_disk_is_no_bad_volume(tmp_path):
    bad = BadVolumes(str, 10, **skipping(tmp_path))
    with pytest.raises(CacheError), bad.leaving_out(0):
        raise CacheError("cache_dir=x: cannot be written")
    assert bad.reasons == {}


def test_a_new_run_begins_a_new_list(tmp_path):
    for bad in ({1}, {2}):
        data = make_module("transformer", DamagedPairs(6, bad), tmp_path / str(bad), **skipping(tmp_path))
        data.setup()
        assert listed(tmp_path / "skipped.csv") == [f"phantom-00000{next(iter(bad))}"]


def report(folder: Path, indices: list[int]) -> None:
    bad = BadVolumes(lambda index: f"=volume,{index}", 1000, **skipping(folder))
    for index in indices:
        with bad.leaving_out(index):
            raise InputError(f"-{index}: not readable")


def test_processes_that_report_at_once_list_each_volume_once_and_safely(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=report, args=(tmp_path, list(range(40))[::step])) for step in (1, -1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(listed(tmp_path / "skipped.csv")) == sorted(f"'=volume,{index}" for index in range(40))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_bad": "ignore"}, "data.on_bad=ignore: expected raise or skip"),
        ({"on_bad": "skip"}, "skipped_file"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        CTViTData(pairs=PhantomPairs(num=4), preset=PRESET, **settings)


@pytest.mark.parametrize("stage", ["ctvit", "transformer"])
def test_training_says_what_it_did_without(command, tiny_weights, tmp_path, stage):
    archive = write_archive(tmp_path, 8)
    truncate(tmp_path / "scans" / "scan2.nii.gz")
    tokenizer = () if stage == "ctvit" else (f"tokenizer={tiny_weights / 'ctvit.safetensors'}",)
    small = ("model=tiny", "steps=6", "val_every=6", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu")
    settings = ("train", f"stage={stage}", *archive, *small, *tokenizer, "~callbacks.previews")
    settings += ("text_encoder.encoder.num_buckets=64", "stage.datamodule.val_fraction=0.0")
    ended = command(*settings, f"output={tmp_path / 'a'}")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "scan2.nii.gz" in ended.err
    ended = command(*settings, "data.on_bad=skip", f"output={tmp_path / 'b'}")
    assert ended.code == 0, ended.err
    assert f"left out 1 of 8 volumes, which cannot be read; see {tmp_path / 'b' / 'skipped.csv'}" in ended.out
    assert listed(tmp_path / "b" / "skipped.csv") == ["scan2"]


def test_a_worker_with_nothing_to_read_does_not_spin(tmp_path):
    data = make_module("ctvit", DamagedPairs(40, set(range(40))), tmp_path, val_fraction=0.0, **skipping(tmp_path))
    data.setup()
    loader = DataLoader(data.train_data, sampler=[(0, 0)], num_workers=1)
    with pytest.raises(InputError, match="in a row cannot be read"):
        next(iter(loader))
