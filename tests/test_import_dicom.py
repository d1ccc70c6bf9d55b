"""`python -m generatect.import_dicom`: each series of an archive once, with a table that a user completes."""

import shutil

import numpy as np
import pytest

from generatect.ct.dicom import read_series
from generatect.ct.nifti import read_nifti
from generatect.data.layouts.folder import FolderLayout
from generatect.data.rows import read_rows
from generatect.errors import InputError
from tests.dicom_writer import save, series_of, straight, unique_hu

PLANTED = "Zqplanted"
LOCALISER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


@pytest.fixture
def archive(tmp_path):
    """Two patients with three scans, a localiser, a series with a gap and a damaged file, and planted texts."""
    root = tmp_path / "archive"
    named = {"PatientName": PLANTED, "InstitutionName": PLANTED, "SeriesDescription": PLANTED}
    first = {"PatientID": f"{PLANTED}1", "PatientAge": "061Y", "PatientSex": "F", **named}
    save(root / PLANTED / "a", series_of(SeriesInstanceUID="1.1", **first))
    save(root / PLANTED / "b", series_of(hu=unique_hu()[::-1], SeriesInstanceUID="1.2", **first))
    save(root / PLANTED / "b", series_of(SeriesInstanceUID="1.3", ImageType=LOCALISER, **first)[:1], ["scout"])
    save(root / "c", series_of(SeriesInstanceUID="2.1", PatientID="other", **named))
    gap = series_of(SeriesInstanceUID="2.2", PatientID="other")
    save(root / "d", [gap[0], gap[4], gap[1]])
    damaged = save(root / "e", series_of(SeriesInstanceUID="2.3")[:1]) / "000.dcm"
    damaged.write_bytes(damaged.read_bytes()[:140])
    (root / "readme.txt").write_text("not DICOM")
    return root


def test_an_archive_becomes_a_folder_to_train_on(archive, command, tmp_path):
    output = tmp_path / "out"
    ended = command("import_dicom", f"input={archive}", f"output={output}")
    assert ended.code == 2  # after all that can be done is done; the localiser is no reason
    assert f"input={archive}: 2 series or files could not be imported, each listed above" in ended.err
    assert ended.err.count("\n") == 1
    assert "3 series imported (0 of them before), 3 refused" in ended.out
    header, rows = read_rows(output / "volumes.csv", "")
    assert header == ["volume", "patient", "age", "sex", "text"]
    assert [(row["age"], row["sex"], row["text"]) for row in rows] == [("061Y", "F", "")] * 2 + [("", "", "")]
    assert rows[0]["patient"] == rows[1]["patient"] != rows[2]["patient"]
    for row, source in zip(rows, (f"{PLANTED}/a", f"{PLANTED}/b", "c"), strict=True):
        imported, expected = read_nifti(output / row["volume"]), read_series(archive / source)
        assert np.array_equal(imported.voxels_hu, expected.voxels_hu)
        assert np.allclose(imported.affine, expected.affine, atol=1e-4)
    _, refused = read_rows(output / "refused.csv", "")
    assert [(row["series"], row["slices"]) for row in refused] == [("1.3", "1"), ("2.2", "3"), ("", "")]
    for row, reason in zip(refused, ("a localiser", "a slice is missing", "likely truncated"), strict=True):
        assert reason in row["reason"]
        assert f"refused {row['reason']}" in ended.out

    first, *others = (output / "volumes.csv").read_text().splitlines()
    (output / "volumes.csv").write_text("\n".join([first, *(f"{line}A report." for line in others)]))
    manifest = FolderLayout(root=str(output), table=str(output / "volumes.csv")).read()
    assert len(manifest.records) == 3


def test_tags_that_name_a_patient_are_in_no_file(archive, command, tmp_path):
    output = tmp_path / "out"
    ended = command("import_dicom", f"input={archive}", f"output={output}")
    for path in output.iterdir():
        if path.name != "refused.csv":  # a list that names files
            content = path.name.encode() + path.read_bytes()
            assert PLANTED.encode() not in content
    shown = (ended.out + ended.err + (output / "refused.csv").read_text()).replace(str(archive / PLANTED), "")
    assert PLANTED not in shown


def test_it_goes_on_where_it_was_and_keeps_the_table(archive, command, tmp_path):
    output = tmp_path / "out"
    shutil.move(archive / "c", tmp_path / "later")
    assert command("import_dicom", f"input={archive}", f"output={output}").code == 2
    table = output / "volumes.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{lines[0]},note", *(f"{line}Clear lungs.,mine" for line in lines[1:])]))
    _, before = read_rows(table, "")
    dates = {path: path.stat().st_mtime_ns for path in output.glob("*.nii.gz")}

    shutil.move(tmp_path / "later", archive / "c")
    ended = command("import_dicom", f"input={archive}", f"output={output}")
    assert "3 series imported (2 of them before), 3 refused" in ended.out
    assert {path: path.stat().st_mtime_ns for path in dates} == dates
    header, rows = read_rows(table, "")
    assert header == ["volume", "patient", "age", "sex", "text", "note"]
    assert rows[:2] == before
    assert (rows[2]["text"], rows[2]["note"]) == ("", "")
    assert before[0]["text"] == "Clear lungs."


def test_limits_refuse_a_series_and_not_the_rest(archive, command, tmp_path):
    ended = command("import_dicom", f"input={archive}", f"output={tmp_path / 'out'}", "timeout_s=0.001")
    assert ended.code == 2
    assert f"{archive / PLANTED / 'a'}: reading it took more than 0.001 s" in ended.out
    assert f"input={archive}: none of 6 series or files is a CT to import" in ended.err


@pytest.mark.parametrize(("name", "reason"), [("empty", "no DICOM among 0 files"), ("absent", "no such folder")])
def test_nothing_to_import_is_an_error(command, tmp_path, name, reason):
    (tmp_path / "empty").mkdir()
    ended = command("import_dicom", f"input={tmp_path / name}", f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert reason in ended.err
    assert ended.err.count("\n") == 1


def test_another_table_in_the_place_of_ours_is_refused(archive, command, tmp_path):
    (tmp_path / "volumes.csv").write_text("a,b\n1,2\n")
    ended = command("import_dicom", f"input={archive}", f"output={tmp_path}")
    assert ended.code == 2
    assert f"{tmp_path / 'volumes.csv'}: no column 'volume'" in ended.err
    assert not list(tmp_path.glob("*.nii.gz"))


def test_a_table_with_two_rows_of_a_volume_loses_neither(archive, command, tmp_path):
    table = tmp_path / "volumes.csv"
    table.write_text("volume,patient,age,sex,text\nct_1.nii.gz,p,,,One.\nct_1.nii.gz,p,,,Another.\n")
    before = table.read_bytes()
    ended = command("import_dicom", f"input={archive}", f"output={tmp_path}")
    assert ended.code == 2
    assert f"{table} row 2: volume 'ct_1.nii.gz' is in a row above, too" in ended.err
    assert table.read_bytes() == before


def constant(patients: int) -> list[list]:
    """Scans of several patients whose anonymiser wrote one SeriesInstanceUID, and one PatientID, into all."""
    rng = np.random.default_rng(7)
    return [series_of(hu=rng.permutation(unique_hu().ravel()).reshape(unique_hu().shape)) for _ in range(patients)]


def imported(output) -> list:
    """The volumes of the table, in its order."""
    _, rows = read_rows(output / "volumes.csv", "")
    return [read_nifti(output / row["volume"]) for row in rows]


def test_one_uid_for_two_patients_gives_two_volumes(command, tmp_path):
    for name, slices in zip("ab", constant(2), strict=True):
        save(tmp_path / "in" / name, slices[:3])  # a scan may lie in two folders
        save(tmp_path / "in" / name / "more", slices[3:])
    ended = command("import_dicom", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    for volume, name in zip(imported(tmp_path / "out"), "ab", strict=True):
        expected = read_series(tmp_path / "in" / name)
        assert expected.shape_zyx[0] == 5
        assert np.array_equal(volume.voxels_hu, expected.voxels_hu)
    with pytest.raises(InputError, match=r"holds 2 series \(1: 5 slices, axial, UID .* in a; 2: 5 slices, .* in b\)"):
        read_series(tmp_path / "in")


def test_a_copy_of_a_scan_is_no_second_scan(tmp_path):
    for name in "ab":
        save(tmp_path / name, series_of())
    with pytest.raises(InputError, match="two slices at"):
        read_series(tmp_path)


def test_what_an_earlier_run_made_of_other_slices_is_not_taken_for_them(command, tmp_path):
    """One patient's folder after the other's, with one UID and one output."""
    (first,) = constant(1)
    save(tmp_path / "a", first)
    save(tmp_path / "b", series_of(positions=straight((-20, 30, 400))))
    for name, code in (("a", 0), ("a", 0), ("b", 2)):
        ended = command("import_dicom", f"input={tmp_path / name}", f"output={tmp_path / 'out'}")
        assert ended.code == code, ended.err
    assert "is there, made of other slices" in ended.err
    (volume,) = imported(tmp_path / "out")
    assert np.array_equal(volume.voxels_hu, read_series(tmp_path / "a").voxels_hu)


@pytest.mark.parametrize("damage", ["no position", "truncated"])
def test_a_series_that_lacks_a_slice_at_its_end_is_not_imported_without_it(command, tmp_path, damage):
    """No gap shows there, and a chest without its apex looks whole."""
    slices = series_of()
    if damage == "no position":
        del slices[-1].ImagePositionPatient
    folder = save(tmp_path / "in", slices)
    if damage == "truncated":
        (folder / "004.dcm").write_bytes((folder / "004.dcm").read_bytes()[:300])
    save(tmp_path / "in" / "whole", series_of(hu=unique_hu()[::-1], SeriesInstanceUID="1.2.3"))
    ended = command("import_dicom", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}")
    assert ended.code == 2
    (volume,) = imported(tmp_path / "out")
    assert np.array_equal(volume.voxels_hu, read_series(tmp_path / "in" / "whole").voxels_hu)
    assert "004.dcm" in (tmp_path / "out" / "refused.csv").read_text()


def test_a_series_behind_a_link_is_imported_once(command, tmp_path):
    save(tmp_path / "elsewhere", series_of())
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "above").symlink_to(tmp_path / "in")
    ended = command("import_dicom", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    assert len(imported(tmp_path / "out")) == 1
