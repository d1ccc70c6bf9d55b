"""An archive with one of each defect: each is found, under its name, and sound volumes are left in peace."""

import io
import shutil
from collections import defaultdict
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from generatect.ct.hounsfield import Scaling
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.inspection.archive import Inspection, headers_of, inspect_archive
from generatect.data.inspection.machine_readable import as_json
from generatect.data.inspection.page import as_html
from generatect.data.inspection.terminal import show
from generatect.data.manifest import LeftOut, Record

ENCODER = {"kind": "hashed_words", "max_tokens": 128}
SOUND = ("sound-a", "sound-b", "sound-c", "sound-d")


def silent(label: str, done: int, total: int) -> None:
    """No progress."""


def inspect(pairs: ArchivePairs, folder: Path, voxels: bool = True) -> Inspection:
    headers = headers_of(pairs, str(folder / "cache"), silent)
    kept = folder / "voxels.jsonl" if voxels else None
    return inspect_archive(pairs, headers, ENCODER, kept=kept, num_workers=2, show=silent)


def codes_by_name(inspection: Inspection) -> dict[str, set[str]]:
    found = defaultdict(set)
    for finding in inspection.findings:
        found[finding.name].add(finding.code)
    return dict(found)


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory, scan, spoil, pairs_of) -> tuple[Inspection, Inspection]:
    """Inspection of the archive with and without voxels."""
    root = tmp_path_factory.mktemp("archive")
    records: list[Record] = []

    def add(name: str, volume: CTVolume | None = None, ending: str = ".nii.gz", **fields) -> Path:
        path = root / f"{name}{ending}"
        if volume is not None:
            spoil["write"](path, volume)
        text = fields.pop("text", f"The heart and the lungs of {name} are normal in size and shape.")
        records.append(Record(name, path, fields.pop("patient", name), text, **fields))
        return path

    for index, name in enumerate(SOUND):
        add(name, scan(index), split="val" if name == "sound-d" else "train")
    twice = CTVolume(scan(4).voxels_hu - np.int16(1024), scan(4).affine)
    add("scaled-twice", twice)
    spoil["scaling"](add("hu-with-scaling", scan(4)), 1.0, -1024.0)
    spoil["scaling"](add("header-and-table", scan(5), metadata=Scaling(1.0, -1024.0)), 1.0, 0.5)
    spoil["z spacing"](add("one-millimetre", scan(6)), 1.0)
    add("table-spacing", scan(7), spacing_mm_zyx=(2.0, 3.0, 3.0))
    spoil["truncate"](add("truncated", scan(8)))
    spoil["checksum"](add("checksum", scan(9)))
    add("constant", CTVolume(np.full(scan(0).shape_zyx, -7, np.int16), scan(0).affine))
    add("no-lungs", spoil["water"](scan(0)))
    add("leaning", spoil["leaning"](scan(14)))
    add("white-ring", spoil["white ring"](scan(13)))
    add("nothing-but-air", CTVolume(scan(0).voxels_hu.clip(-1100, -900), scan(0).affine))
    shutil.copy(root / "sound-a.nii.gz", add("copied", patient="sound-a"))
    spoil["store again"](root / "sound-b.nii.gz", add("stored-again", patient="sound-b"))
    shutil.copy(root / "sound-c.nii.gz", add("copied-to-val", split="val"))
    add("other-side", scan(10), patient="sound-a", split="val")
    add("long", scan(11), text="Nothing remarkable anywhere. " * 60)
    add(
        "contradiction",
        scan(12),
        text="There is no pleural effusion, and nothing else.",
        labels={"Pleural effusion": 1},
    )
    left_out = [LeftOut("silent", "no report"), LeftOut("head", "not a chest (no_chest.txt)", expected=True)]
    pairs = pairs_of(records, left_out)
    return inspect(pairs, root), inspect(pairs, root, voxels=False)


EXPECTED = {
    "scaled-twice": {"hu-undecided"},
    "hu-with-scaling": {"double-rescaling-risk"},
    "header-and-table": {"double-rescaling-risk"},
    "one-millimetre": {"spacing-default", "z-extent", "spacing-outlier"},
    "table-spacing": {"spacing-differs", "spacing-outlier"},
    "truncated": {"damaged-file"},
    "checksum": {"damaged-file"},
    "constant": {"constant"},
    "no-lungs": {"no-lungs", "clipped"},
    "nothing-but-air": {"no-body", "clipped"},
    "leaning": {"sheared"},
    "white-ring": {"far-above"},
    "copied": {"duplicate-file"},
    "stored-again": {"duplicate-volume"},
    "copied-to-val": {"duplicate-across-splits"},
    "other-side": {"patient-in-both-splits"},
    "long": {"report-long"},
    "contradiction": {"label-against-report"},
    "silent": {"no-report"},
    "head": {"left-out-expected"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_defect_is_found(spoilt, name):
    assert EXPECTED[name] <= codes_by_name(spoilt[0]).get(name, set())


def test_nothing_else_is_found(spoilt):
    found = codes_by_name(spoilt[0])
    assert {name: found[name] for name in SOUND if name in found} == {}
    surplus = {name: codes - EXPECTED[name] for name, codes in found.items() if codes - EXPECTED[name]}
    assert surplus == {}


def test_reports_that_are_cut_are_counted_with_what_to_set(spoilt):
    for inspection in spoilt:
        total = len(inspection.records)
        assert f"1 of {total} reports are longer than the 128 tokens" in inspection.cut_reports
        assert "tokens are lost; set text_encoder.encoder.max_tokens=" in inspection.cut_reports
        assert as_json(inspection)["cut_reports"] == inspection.cut_reports
        assert inspection.cut_reports[1:] in unescape(as_html(inspection))
        console = Console(record=True, width=80, file=io.StringIO())
        show(inspection, console)
        assert inspection.cut_reports in console.export_text()


def test_voxels_are_not_needed_for_what_headers_and_tables_show(spoilt):
    found = codes_by_name(spoilt[1])
    assert spoilt[1].voxels is None
    for name in (
        "header-and-table",
        "one-millimetre",
        "table-spacing",
        "copied",
        "copied-to-val",
        "other-side",
        "long",
    ):
        assert found[name] == EXPECTED[name]
    assert found["stored-again"] == {"duplicate-volume"}  # alike at a glimpse, so these two were read
    assert not {"no-lungs", "constant", "checksum"} & set(found)


def test_the_verdict(spoilt, scan, spoil, pairs_of, tmp_path):
    assert not spoilt[0].may_start
    assert not spoilt[1].may_start
    spoil["write"](tmp_path / "a.nii.gz", scan(0))
    sound = pairs_of([Record("a", tmp_path / "a.nii.gz", "p", "Normal.")])
    inspection = inspect(sound, tmp_path)
    assert [finding.code for finding in inspection.findings] == ["report-short"]
    assert inspection.may_start


def test_a_file_scaled_twice_is_called_so_where_nobody_checks(scan, spoil, pairs_of, tmp_path):
    spoil["write"](tmp_path / "a.nii.gz", CTVolume(scan(0).voxels_hu - np.int16(1024), scan(0).affine))
    spoil["write"](tmp_path / "b.nii.gz", CTVolume(scan(1).voxels_hu + np.int16(1024), scan(1).affine))
    text = "Lungs and heart are both normal."
    records = [Record(name, tmp_path / f"{name}.nii.gz", "p", text) for name in "ab"]
    found = codes_by_name(inspect(pairs_of(records, hu_policy="unchecked"), tmp_path))
    assert found == {"a": {"double-rescaling"}, "b": {"never-rescaled"}}


def test_a_dicom_series_passes_through_all_checks(real_ct_dir, pairs_of, tmp_path):
    records = [Record("a", real_ct_dir / "dicom_series", "p", "Lungs and heart are both normal.")]
    inspection = inspect(pairs_of(records), tmp_path)
    found = codes_by_name(inspection)["a"]
    assert "z-extent" in found  # 20 slices, 2 mm apart
    assert not found & {"unreadable", "damaged-file", "header-refused"}
