"""CT-RATE: plain and `_fixed` are the same patients, tables count by their columns, nobody is in both parts."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.layouts.ct_rate import CTRateLayout
from generatect.data.manifest import LeftOut, Manifest
from generatect.data.split import split_by_patient
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs
from tests.data.layouts.ct_rate_archive import (
    LABELS,
    METADATA,
    PLANTED,
    REPORTS,
    labels,
    metadata,
    place,
    report,
    write_csv,
    write_empty,
    write_full_size,
    write_plain,
)

VOLUMES = ("train_1_a_1", "train_1_a_2", "train_2_a_1", "valid_1_a_1")
SCALINGS = {"train_1_a_1": (1, -1024), "train_2_a_1": (0.5, -1024.5), "valid_1_a_1": (1.0, -1024.0)}


def write_tables(root: Path, volumes: Iterable[str] = VOLUMES) -> None:
    """Every table for these volumes, train and valid apart."""
    for part, table in (("train", "train"), ("valid", "validation")):
        names = [volume for volume in volumes if volume.startswith(part)]
        rows = [report(name, f"Findings of {name}.", f"Impression of {name}.") for name in names]
        write_csv(root / "text" / f"{table}_reports.csv", REPORTS, rows)
        write_csv(root / "numbers" / f"{table}_metadata.csv", METADATA, [metadata(name) for name in names])
        write_csv(root / "labels" / f"{part}_predicted_labels.csv", LABELS, [labels(name) for name in names])


@pytest.fixture
def archive(tmp_path) -> Path:
    """Four volumes of three patients, empty files in the `_fixed` folders, and every table."""
    for part in ("train", "valid"):
        write_empty(tmp_path / f"{part}_fixed", [volume for volume in VOLUMES if volume.startswith(part)])
    write_tables(tmp_path)
    return tmp_path


def read(root: Path, **options) -> Manifest:
    return CTRateLayout(root=str(root), **options).read()


def names(manifest: Manifest) -> list[str]:
    return [record.name.removesuffix(".nii.gz") for record in manifest.records]


def reasons(manifest: Manifest) -> dict[str, str]:
    return {entry.name.removesuffix(".nii.gz"): entry.reason for entry in manifest.left_out}


def refusal(root: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)
    assert PLANTED not in str(caught.value)
    return str(caught.value)


class TestVoxels:
    @pytest.fixture
    def patients(self, tmp_path) -> dict[str, CTVolume]:
        """The true volumes, kept plain and `_fixed`."""
        pairs, tables = PhantomPairs(num=8, seed=5, native_shape_zyx=(34, 64, 60)), []
        true = {}
        for index, (name, (slope, intercept)) in enumerate(SCALINGS.items()):
            volume = pairs.volume(index)
            hu = np.rint(volume.voxels_hu).astype(np.int16)
            true[name] = CTVolume(hu, volume.affine)
            part = name.partition("_")[0]
            write_plain(place(tmp_path / part, name), true[name], slope, intercept)
            write_empty(tmp_path / f"{part}_fixed", [name])
            write_nifti(place(tmp_path / f"{part}_fixed", name), true[name])
            z, y, x = volume.spacing_mm_zyx
            tables.append(metadata(name, slope, intercept, f"[{y}, {x}]", z))
        write_tables(tmp_path, SCALINGS)
        write_csv(tmp_path / "numbers" / "train_metadata.csv", METADATA, tables[:2])
        write_csv(tmp_path / "numbers" / "validation_metadata.csv", METADATA, tables[2:])
        return true

    @pytest.mark.parametrize("fixed", [True, False, None])
    def test_plain_and_fixed_are_the_same_patients(self, patients, tmp_path, fixed):
        pairs = ArchivePairs(layout=CTRateLayout(root=str(tmp_path), fixed=fixed))
        assert [pairs.name(index) for index in range(3)] == [f"{name}.nii.gz" for name in patients]
        for index, true in enumerate(patients.values()):
            volume, decision = pairs.read(index)
            assert decision.policy == ("metadata" if fixed is False else "header")
            assert np.array_equal(volume.voxels_hu, true.voxels_hu)
            assert volume.spacing_mm_zyx == pytest.approx(true.spacing_mm_zyx, rel=1e-6)
            assert PLANTED not in decision.reason

    def test_fixed_volumes_are_believed_and_plain_ones_are_not(self, patients, tmp_path):
        assert {(record.metadata, record.spacing_mm_zyx) for record in read(tmp_path).records} == {(None, None)}
        plain = read(tmp_path, fixed=False).records
        assert [(record.metadata.slope, record.metadata.intercept) for record in plain] == list(SCALINGS.values())
        for record, true in zip(plain, patients.values(), strict=True):
            assert record.spacing_mm_zyx == pytest.approx(true.spacing_mm_zyx)


class TestRecords:
    def test_who_and_what(self, archive):
        records = {record.name: record for record in read(archive).records}
        assert list(records) == [f"{volume}.nii.gz" for volume in VOLUMES]
        assert [record.patient for record in records.values()] == ["train_1", "train_1", "train_2", "valid_1"]
        assert [record.split for record in records.values()] == ["train", "train", "train", "val"]
        first = records["train_1_a_1.nii.gz"]
        assert first.path == place(archive / "train_fixed", "train_1_a_1")
        assert first.text == "Findings of train_1_a_1. Impression of train_1_a_1."
        assert first.labels == {"Cardiomegaly": 0, "Lung nodule": 1, "Pleural effusion": 0}

    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("findings", "Findings of valid_1_a_1."),
            ("impression", "Impression of valid_1_a_1."),
            ("released", "45 years old female: Impression of valid_1_a_1."),
            ("demographics", "45 years old female: Findings of valid_1_a_1. Impression of valid_1_a_1."),
        ],
    )
    def test_templates(self, archive, template, text):
        assert read(archive, template=template).records[-1].text == text

    def test_nothing_but_reports_labels_and_numbers_is_kept(self, archive):
        assert PLANTED not in repr(read(archive))

    def test_reconstructions_share_a_report_and_labels(self, archive):
        rows = [
            report("train_1_a_1", "Not given.", "nan"),
            report("train_1_a_2", "Clear.", "Not given."),
            report("train_2_a_1", "x", ""),
        ]
        write_csv(archive / "text" / "train_reports.csv", REPORTS, rows)
        write_csv(archive / "labels" / "train_predicted_labels.csv", LABELS, [labels("train_1_a_2", 1, 1, 0)])
        found = read(archive)
        assert names(found) == ["train_1_a_1", "train_1_a_2", "valid_1_a_1"]
        assert [record.text for record in found.records[:2]] == ["Clear.", "Clear."]
        assert [list(record.labels.values()) for record in found.records[:2]] == [[1, 1, 0]] * 2
        assert reasons(found) == {"train_2_a_1": "no row in a table of labels"}
        assert names(read(archive, labels=False)) == list(VOLUMES)

    def test_two_reports_of_a_scan_are_not_lent_to_a_third_reconstruction(self, archive):
        write_empty(archive / "train_fixed", ["train_1_a_3"])
        assert reasons(read(archive)) == {"train_1_a_3": "no report"}

    def test_without_tables_of_labels_there_are_none(self, archive):
        for path in (archive / "labels").iterdir():
            path.unlink()
        assert [record.labels for record in read(archive).records] == [None] * 4
        assert [record.labels for record in read(archive, labels=False).records] == [None] * 4

    def test_the_order_of_a_table_s_labels_does_not_matter(self, archive):
        header = ("VolumeName", *LABELS[:0:-1])
        write_csv(archive / "labels" / "valid_predicted_labels.csv", header, [labels("valid_1_a_1", "1.0", 0, 0)])
        assert list(read(archive).records[-1].labels.items()) == [
            ("Cardiomegaly", 0),
            ("Lung nodule", 0),
            ("Pleural effusion", 1),
        ]


class TestTables:
    def test_any_name_and_place_will_do(self, archive):
        before = read(archive)
        for path in list(archive.rglob("*.csv")):
            target = archive / "else" / "where" / f"{path.parent.name} {path.stem[-3:]} {path.stem[:3]}.csv"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
            path.unlink()
        write_csv(archive / "other.csv", ("name", "Findings_EN"), [("train_1_a_1", PLANTED)])
        write_csv(archive / "more.csv", ("VolumeName", "comment"), [("train_1_a_1.nii.gz", PLANTED)])
        assert read(archive) == before
        assert read(archive, tables=str(archive / "else")) == before

    @pytest.mark.parametrize("first", ["", "sep=;\r\n"])
    def test_tables_with_semicolons_are_not_passed_over(self, archive, first):
        before = read(archive)
        for path in list(archive.rglob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(first)
                csv.writer(file, delimiter=";").writerows(rows)
        assert read(archive) == before

    def test_the_folder_above_dataset_will_do(self, archive, tmp_path_factory):
        above = tmp_path_factory.mktemp("above")
        (above / "dataset").symlink_to(archive, target_is_directory=True)
        write_tables(above)
        assert names(read(above)) == list(VOLUMES)

    def test_tables_within_the_volumes_are_not_looked_for(self, archive):
        write_csv(archive / "train" / "train_reports.csv", REPORTS, [report("train_9_a_1", "x", "x")])
        assert reasons(read(archive)) == {}


class TestLeftOut:
    def test_each_with_its_reason(self, archive):
        fixed = archive / "train_fixed"
        write_empty(fixed, ["train_3_a_1", "train_4_a_1", "train_5_a_1"])
        place(fixed, "train_2_a_1").with_name("train_6_a_1.nii.gz").touch()
        place(fixed, "train_2_a_1").with_name("scan.nii.gz").touch()
        place(fixed, "train_2_a_1").with_name("._train_2_a_1.nii.gz").touch()
        place(fixed, "train_2_a_1").with_name("notes.txt").touch()
        more = ("train_4_a_1", "train_5_a_1", "train_7_a_1")
        write_tables(archive, (*VOLUMES, *more))
        write_csv(archive / "new" / "corrected.csv", REPORTS, [report("train_4_a_1", "Otherwise.", "")])
        write_csv(archive / "new" / "labels.csv", LABELS, [labels("train_5_a_1", 1, 1, 1)])
        found = read(archive)
        assert names(found) == list(VOLUMES)
        misplaced = "its name is not that of its folders, PATIENT/SCAN/SCAN_RECONSTRUCTION"
        assert reasons(found) == {
            "train_3_a_1": "no report",
            "train_4_a_1": "two different reports",
            "train_5_a_1": "two different rows of labels",
            "train_6_a_1": misplaced,
            "scan": misplaced,
            "train_7_a_1": "no file",
        }
        assert not any(entry.expected for entry in found.left_out)

    def test_a_report_without_what_the_template_needs(self, archive):
        write_csv(archive / "text" / "train_reports.csv", REPORTS, [report("train_1_a_1", "Clear.", "Not given.")])
        assert reasons(read(archive, template="impression")) == {
            "train_1_a_1": "no report that the template can use",
            "train_1_a_2": "no report that the template can use",
            "train_2_a_1": "no report",
        }

    def test_what_is_no_chest_is_expected(self, archive):
        (archive / "no_chest_train.txt").write_text("train_1_a\n\ntrain_8_a_1.nii.gz\r\n")
        (archive / "numbers" / "no_chest_valid.txt").write_text("valid_1_a_1.nii.gz")
        write_csv(archive / "text" / "more.csv", REPORTS, [report("train_8_a_1", "Head.", "")])
        found = read(archive)
        assert names(found) == ["train_2_a_1"]
        of_train, of_valid = "not a chest (no_chest_train.txt)", "not a chest (no_chest_valid.txt)"
        assert found.left_out == [
            LeftOut("train_1_a_1.nii.gz", of_train, expected=True),
            LeftOut("train_1_a_2.nii.gz", of_train, expected=True),
            LeftOut("valid_1_a_1.nii.gz", of_valid, expected=True),
            LeftOut("train_8_a_1.nii.gz", of_train, expected=True),
        ]

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"slope": ""}, "no usable RescaleSlope and RescaleIntercept in its row of metadata"),
            ({"slope": 0}, "no usable RescaleSlope and RescaleIntercept in its row of metadata"),
            ({"slope": "1e999"}, "no usable RescaleSlope and RescaleIntercept in its row of metadata"),
            ({"intercept": "nan"}, "no usable RescaleSlope and RescaleIntercept in its row of metadata"),
            ({"xy": "[0.8]"}, "no usable XYSpacing and ZSpacing in its row of metadata"),
            ({"xy": "[0.8, 0.0]"}, "no usable XYSpacing and ZSpacing in its row of metadata"),
            ({"z": ""}, "no usable XYSpacing and ZSpacing in its row of metadata"),
            ({"z": -1.5}, "no usable XYSpacing and ZSpacing in its row of metadata"),
        ],
    )
    def test_plain_volumes_need_their_numbers(self, archive, row, reason):
        write_empty(archive / "train", ["train_1_a_1", "train_1_a_2"])
        rows = [metadata("train_1_a_1", **row), metadata("train_1_a_2")]
        write_csv(archive / "numbers" / "train_metadata.csv", METADATA, rows)
        found = read(archive, fixed=False)
        assert names(found) == ["train_1_a_2"]
        assert reasons(found)["train_1_a_1"] == reason
        assert names(read(archive)) == list(VOLUMES)

    def test_a_plain_volume_without_or_with_two_rows_of_metadata(self, archive):
        write_empty(archive / "train", ["train_1_a_1", "train_1_a_2", "train_2_a_1"])
        rows = [metadata("train_1_a_1"), metadata("train_1_a_1", 2), metadata("train_2_a_1"), metadata("train_2_a_1")]
        write_csv(archive / "numbers" / "train_metadata.csv", METADATA, rows)
        found = read(archive, fixed=False)
        assert names(found) == ["train_2_a_1"]
        assert reasons(found)["train_1_a_1"] == "two different rows of metadata"
        assert reasons(found)["train_1_a_2"] == "no row in a table of metadata"


class TestSides:
    @pytest.mark.parametrize("how", ["folders", "tables"])
    def test_a_patient_of_both_parts_trains(self, archive, how):
        reason = "its patient is in the training part, too"
        if how == "folders":
            write_empty(archive / "valid_fixed", ["train_1_b_1"])
            write_tables(archive, (*VOLUMES, "train_1_b_1"))
            expected = {"train_1_b_1": reason}
        else:
            names_of_train = [volume for volume in VOLUMES if volume.startswith("train")]
            rows = [report(name, "Clear.", "") for name in (*names_of_train, "valid_1_b_1")]
            write_csv(archive / "text" / "train_reports.csv", REPORTS, rows)
            expected = {"valid_1_a_1": reason, "valid_1_b_1": "no file"}
        found = read(archive)
        assert reasons(found) == expected
        sides = {record.patient: set() for record in found.records}
        for record in found.records:
            sides[record.patient].add(record.split)
        assert all(len(of_patient) == 1 for of_patient in sides.values())

    def test_a_table_of_both_parts_moves_nobody(self, archive):
        rows = [report(name, "Clear.", "") for name in VOLUMES]
        write_csv(archive / "text" / "train_and_validation_reports.csv", REPORTS, rows)
        for part in ("train", "validation"):
            (archive / "text" / f"{part}_reports.csv").unlink()
        assert names(read(archive)) == list(VOLUMES)


class TestRefusals:
    def test_folders(self, archive, tmp_path_factory):
        assert "data.root=" in refusal(archive / "absent")
        assert "no folder train or valid in it" in refusal(archive, fixed=False)
        empty = tmp_path_factory.mktemp("empty")
        assert "no folder train_fixed or train or valid_fixed or valid" in refusal(empty)
        (empty / "train_fixed" / "train_1" / "train_1_a").mkdir(parents=True)
        assert "no .nii.gz in PATIENT/SCAN below train_fixed" in refusal(empty)
        assert "template=poem" in refusal(archive, template="poem")

    def test_tables(self, archive):
        assert "data.table=" in refusal(archive, tables=str(archive / "absent"))
        assert "no CSV with columns VolumeName and Findings_EN" in refusal(archive, tables=str(archive / "numbers"))
        write_empty(archive / "train", ["train_1_a_1"])
        assert "which plain volumes need" in refusal(archive, tables=str(archive / "text"), fixed=False)

    def test_labels(self, archive):
        path = archive / "labels" / "valid_predicted_labels.csv"
        write_csv(path, LABELS, [labels("valid_1_a_1"), labels("valid_2_a_1", 0, 0, PLANTED)])
        assert f"{path} row 2: a cell of column 'Pleural effusion'" in refusal(archive)
        write_csv(path, LABELS[:-1], [labels("valid_1_a_1", 0, 0)])
        assert "expected those of other tables, Cardiomegaly, Lung nodule, Pleural effusion" in refusal(archive)
        write_csv(path, LABELS, [labels("valid_1_a_1"), ("", 0, 0, 0)])
        assert f"{path} row 2: empty VolumeName" in refusal(archive)


# In a process of its own, whose memory is its own.
MEASURE = """
import json, re, sys, time
from pathlib import Path
from generatect.data.layouts.ct_rate import CTRateLayout
started = time.perf_counter()
found = CTRateLayout(root=sys.argv[1], template="demographics").read()
seconds = time.perf_counter() - started
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps({
    "seconds": seconds,
    "peak_bytes": peak_kib * 1024,
    "left_out": [entry.reason for entry in found.left_out],
    "volumes": [[record.name, record.patient, record.split, len(record.labels)] for record in found.records],
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_50188_volumes_take_little_memory_and_nobody_is_in_both_parts(tmp_path):
    """The files are empty: opened, they would be refused."""
    num_volumes, num_twice = write_full_size(tmp_path, both_sides=20)
    ended = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    print(f"indexed in {found['seconds']:.1f} s, {found['peak_bytes'] / 1e6:.0f} MB at most")
    assert num_volumes == 50_188
    assert len(found["volumes"]) == num_volumes - num_twice
    assert found["left_out"] == ["its patient is in the training part, too"] * num_twice
    assert found["peak_bytes"] <= 1.5e9
    assert {num_labels for *_, num_labels in found["volumes"]} == {18}
    patients, given = ([volume[place] for volume in found["volumes"]] for place in (1, 2))
    assert len(set(patients)) == 21_304 - 20
    parts = split_by_patient(patients, given=given)
    sides = [{patients[index] for index in parts[side]} for side in ("train", "val")]
    assert [len(side) for side in sides] == [20_000, 1_284]
    assert not sides[0] & sides[1]
