"""Headers of an archive: described as they are, and read once."""

import os
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.orientation import closest_order
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.header_facts import axis_codes, header_facts
from generatect.data.inspection.headers import VERSION, read_headers
from generatect.data.manifest import Record
from generatect.kept_lines import KeptLines


def silent(label: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture
def records(tmp_path, scan, spoil) -> list[Record]:
    folder = tmp_path / "Zqpatient"
    folder.mkdir()
    for index in range(3):
        spoil["write"](folder / f"{index}.nii.gz", scan(index))
    return [Record(str(index), folder / f"{index}.nii.gz", "p", "text") for index in range(3)]


def read(records: list[Record], tmp_path: Path, **options) -> list[HeaderFacts]:
    return read_headers(records, assume_axes=None, cache_dir=str(tmp_path / "cache"), show=silent, **options)


def test_facts_are_the_volume_s(records, scan):
    facts = header_facts(records[0], 123)
    assert facts.num_bytes == 123
    assert facts.refusal is None
    assert facts.shape_zyx == scan(0).shape_zyx
    assert facts.spacing_mm_zyx == pytest.approx(scan(0).spacing_mm_zyx, rel=1e-5)
    assert (facts.axis_codes, facts.dtype, facts.slope, facts.intercept) == ("LPS", "int16", 1, 0)
    assert facts.oblique_degrees == pytest.approx(0, abs=0.1)


def test_axis_codes_are_nibabel_s_for_all_48_orientations():
    for order in permutations(range(3)):
        for signs in product((-1, 1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = np.eye(3)[:, order] * signs
            assert axis_codes(closest_order(affine)) == "".join(nib.aff2axcodes(affine))


def test_obliqueness_is_the_angle_of_the_turn(tmp_path):
    angle = np.radians(17.0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[1:3, 1:3] = 2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.int16), affine), tmp_path / "turned.nii")
    facts = header_facts(Record("a", tmp_path / "turned.nii", "p", "text"), 1)
    assert facts.oblique_degrees == pytest.approx(17.0, abs=0.01)


def test_a_refused_header_says_why_without_its_path(records, tmp_path):
    records[1].path.write_bytes(b"no volume at all")
    absent = Record("absent", tmp_path / "Zqpatient" / "absent.nii", "p", "text")
    facts = read([*records, absent], tmp_path)
    assert [of_file.refusal is None for of_file in facts] == [True, False, True, False]
    for of_file in (facts[1], facts[3]):
        assert "Zqpatient" not in of_file.refusal
        assert "\n" not in of_file.refusal


def test_a_table_s_spacing_mends_a_header_without_any(records, spoil):
    spoil["z spacing"](records[0].path, 60.0)
    assert header_facts(records[0], 1).refusal is not None
    mended = Record("a", records[0].path, "p", "text", spacing_mm_zyx=(3.77, 3.0, 3.0))
    facts = header_facts(mended, 1)
    assert facts.refusal is None
    assert facts.spacing_mm_zyx is None
    assert facts.shape_zyx == (80, 128, 128)


@pytest.fixture
def store(tmp_path) -> KeptLines:
    return KeptLines(tmp_path / "cache" / "inspection" / "headers.jsonl", VERSION)


def test_unchanged_files_are_not_read_again_whatever_table_names_them(records, tmp_path, store):
    before = read(records, tmp_path)
    kept = store.read(lambda value: value)
    store.add({key: {**value, "facts": {**value["facts"], "oblique_degrees": 7.0}} for key, value in kept.items()})
    assert read(records[1:], tmp_path) == [replace(facts, oblique_degrees=7.0) for facts in before[1:]]
    path = records[0].path
    status = path.stat()
    path.write_bytes(b"\0" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as copies that keep the date
    after = read(records, tmp_path)
    assert after[0].refusal is not None
    assert [facts.oblique_degrees for facts in after[1:]] == [7.0, 7.0]


def test_a_refusal_is_asked_about_again(records, tmp_path, store):
    records[1].path.write_bytes(b"no volume at all")
    assert read(records, tmp_path)[1].refusal is not None
    assert len(store.read(lambda value: value)) == 2


def test_a_damaged_store_is_made_again_and_holds_no_path(records, tmp_path, store):
    before = read(records, tmp_path)
    whole = store.path.read_bytes()
    assert b"Zqpatient" not in whole
    store.add({key: {"stamp": 5, "facts": {"shape_zyx": 5}} for key in store.read(lambda value: value)})
    strange = store.path.read_bytes()
    for content in (strange, whole[:100], whole.replace(b"80", b"81"), b"\xff" * 40 + whole[40:], b"[" * 100_000):
        store.path.write_bytes(content)
        assert read(records, tmp_path) == before


def test_a_dicom_series_is_described_by_its_slices(real_ct_dir, tmp_path):
    facts = header_facts(Record("a", real_ct_dir / "dicom_series", "p", "text"), 1)
    assert facts.refusal is None
    assert facts.shape_zyx == (20, 512, 512)
    assert facts.spacing_mm_zyx == pytest.approx((2.0, 0.977, 0.977), abs=1e-3)
    assert facts.slope is None
    empty = tmp_path / "empty"
    empty.mkdir()
    assert header_facts(Record("b", empty, "p", "text"), 0).refusal is not None
