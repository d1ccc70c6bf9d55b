"""Folders are listed with all that lies below them, and a table says whose scans they hold."""

import pytest

from generatect.errors import InputError
from generatect.privacy.folder import read_audited


@pytest.fixture
def folder(tmp_path):
    for name in ("b.nii.gz", "a/c.nii.gz", "a/d.nii", "._e.nii.gz", "a/note.txt"):
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "scans"


def test_volumes_are_found_at_any_depth_and_hidden_files_are_not_volumes(folder):
    found = read_audited(folder, "train")
    assert [volume.name for volume in found.volumes] == ["a/c", "a/d", "b"]
    assert found.patients == ["a/c", "a/d", "b"]
    assert found.table is None


def test_a_table_says_whose_they_are(folder):
    (folder / "reports.csv").write_text("volume,patient,text\na/c.nii.gz,p1,x\na/d,p1,y\nb.nii.gz,p2,z\ngone,p3,z\n")
    assert read_audited(folder, "train").patients == ["p1", "p1", "p2"]


def test_a_table_of_prompts_says_nothing_of_patients(folder):
    (folder / "prompts.csv").write_text("name,prompt\nb,x\n")
    (folder / "table.csv").write_text("volume,patient\na/c,p\na/d,p\nb,q\n")
    assert read_audited(folder, "generated").patients == ["p", "p", "q"]


def test_the_hash_changes_with_names_and_content(folder):
    hashes = {read_audited(folder, "train").sha256}
    (folder / "b.nii.gz").write_bytes(b"other")
    hashes.add(read_audited(folder, "train").sha256)
    (folder / "b.nii.gz").rename(folder / "z.nii.gz")
    hashes.add(read_audited(folder, "train").sha256)
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("volume,patient\nb,p\n", "no row for volume a/c"),
        ("volume,patient\na/c,\na/d,p\nb,p\n", "row 1: empty volume or patient"),
        ("volume,patient\na/c,p,q\n", "3 cells, expected 2"),
        ("volume,patient\nb,p\na/c,p\na/d,p\nb.nii.gz,q\n", "row 4: volume 'b.nii.gz' is another patient's in a row"),
    ],
)
def test_a_table_that_leaves_questions_is_refused(folder, table, told):
    (folder / "table.csv").write_text(table)
    with pytest.raises(InputError, match=told):
        read_audited(folder, "train")


def test_volumes_behind_links_are_audited_too(folder, tmp_path):
    """A part of the training set would clear a model that copies the rest."""
    (tmp_path / "more" / "deep").mkdir(parents=True)
    (tmp_path / "more" / "deep" / "E.NII.GZ").write_bytes(b"e")
    (folder / "linked").symlink_to(tmp_path / "more")
    (folder / "a" / "above").symlink_to(folder)
    assert [volume.name for volume in read_audited(folder, "train").volumes] == ["a/c", "a/d", "b", "linked/deep/E"]


def test_scans_that_are_dicom_are_not_left_out_without_a_word(folder):
    (folder / "a" / "series").mkdir()
    (folder / "a" / "series" / "0.DCM").touch()
    with pytest.raises(InputError, match=r"1 DICOM files, first a/series/0\.DCM, would be left out"):
        read_audited(folder, "train")
    (folder / "a" / "series").rename(folder / "a" / "c")  # beside a/c.nii.gz, as generate dicom=true writes them
    assert len(read_audited(folder, "train")) == 3


def test_arrays_are_not_left_out_without_a_word(folder):
    (folder / "a" / "._f.npz").touch()
    assert len(read_audited(folder, "train")) == 3
    (folder / "a" / "f.npz").touch()
    with pytest.raises(InputError, match=r"1 \.npz files, first a/f\.npz, would be left out"):
        read_audited(folder, "train")
