"""Whole volumes: read once, kept, and read on after an interruption."""

import base64
import io
import json
import os
import resource
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from generatect.data.archive import ArchivePairs
from generatect.data.inspection.facts import HeaderFacts, VoxelFacts
from generatect.data.inspection.voxels import VERSION, read_voxels, workers_that_fit
from generatect.data.manifest import Record
from generatect.kept_lines import KeptLines


def silent(label: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture
def pairs(tmp_path, scan, spoil, pairs_of) -> ArchivePairs:
    records = []
    for index in range(3):
        path = tmp_path / "scans" / f"{index}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        spoil["write"](path, scan(index))
        records.append(Record(str(index), path, "p", "text"))
    return pairs_of(records)


def read(pairs: ArchivePairs, tmp_path: Path, num_workers: int = 2) -> list[VoxelFacts]:
    return read_voxels(pairs, kept=tmp_path / "out" / "voxels.jsonl", num_workers=num_workers, show=silent)


def test_facts_of_a_volume(pairs, scan, tmp_path):
    facts = read(pairs, tmp_path)
    for index, of_volume in enumerate(facts):
        voxels = scan(index).voxels_hu
        assert of_volume.refusal is None
        assert of_volume.hu.policy == "header"
        assert of_volume.shape_zyx == scan(index).shape_zyx
        assert (of_volume.lowest_hu, of_volume.highest_hu) == (voxels.min(), voxels.max())
        assert of_volume.share_highest == (voxels == voxels.max()).mean()
        assert of_volume.scaling == ""
        picture = Image.open(io.BytesIO(base64.b64decode(of_volume.thumbnail)))
        assert picture.format == "JPEG"
        assert np.asarray(picture).std() > 30
    assert len({of_volume.content for of_volume in facts}) == 3


def test_a_volume_too_large_for_the_memory_is_refused_and_the_others_are_read(pairs, pairs_of, tmp_path):
    large = tmp_path / "scans" / "large.nii"
    nib.save(nib.Nifti1Image(np.resize(np.arange(999, dtype=np.int16), (384, 384, 384)), np.eye(4)), large)
    pairs = pairs_of([pairs.records[0], Record("large", large, "q", "text"), *pairs.records[1:]])
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:  # has little memory
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + (64 << 20),) * 2)
        os.write(writing, json.dumps([facts.refusal for facts in read(pairs, tmp_path, 1)]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        refusals = json.load(file)
    os.waitpid(process, 0)
    assert refusals == [None, "too large for the memory of this machine; try workers=1", None, None]


def test_what_was_read_is_not_read_again(pairs, tmp_path):
    first = read(pairs, tmp_path)
    kept = KeptLines(tmp_path / "out" / "voxels.jsonl", VERSION)
    values = kept.read(lambda value: value)
    assert len(values) == 3
    for value in values.values():
        value["lungs_litres"] = 99.0  # read anew, it would be another number
    kept.add(values)
    content = kept.path.read_bytes().rstrip()
    kept.path.write_bytes(content[:-50])  # the last line as a kill cuts it short
    again = read(pairs, tmp_path)
    assert sum(facts.lungs_litres == 99.0 for facts in again) == 2
    assert read(pairs, tmp_path)[:3] == again
    assert {facts.content for facts in again} == {facts.content for facts in first}


def test_damaged_lines_are_neither_believed_nor_fatal(pairs, tmp_path):
    first = read(pairs, tmp_path)
    kept = tmp_path / "out" / "voxels.jsonl"
    lines = kept.read_bytes().split(b"\n")
    damaged = [line.replace(b'"lungs_litres": ', b'"lungs_litres": 1') for line in lines]
    damaged[1] = damaged[1][:100] + b"\xff" + damaged[1][101:]
    kept.write_bytes(b"\n".join(damaged))
    assert read(pairs, tmp_path) == first


def test_a_changed_file_is_read_again(pairs, scan, spoil, tmp_path):
    before = read(pairs, tmp_path)
    spoil["write"](pairs.records[0].path, scan(5))
    after = read(pairs, tmp_path)
    assert after[0].content != before[0].content
    assert after[1:] == before[1:]


def test_one_worker_and_many_say_the_same(pairs, tmp_path):
    assert read(pairs, tmp_path / "a", 1) == read(pairs, tmp_path / "b", 3)


def test_a_volume_that_cannot_be_read_stops_nothing(pairs, spoil, tmp_path):
    spoil["truncate"](pairs.records[1].path)
    pairs.records[2].path.unlink()
    facts = read(pairs, tmp_path)
    assert [of_volume.refusal is None for of_volume in facts] == [True, False, False]
    assert "truncated" in facts[1].refusal
    assert str(tmp_path) not in facts[1].refusal + facts[2].refusal


def test_workers_are_bounded_by_memory_and_cores():
    small, huge = HeaderFacts(1, shape_zyx=(10, 10, 10)), HeaderFacts(1, shape_zyx=(30000, 30000, 30000))
    assert workers_that_fit([small, huge]) == 1
    assert workers_that_fit([small]) >= workers_that_fit([]) >= 1
