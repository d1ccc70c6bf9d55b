"""Where results go: never upon a scan, never upon each other."""

import pytest

from generatect.data.scans import find_volumes, refuse_overwriting
from generatect.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """A folder of two scans, one of them deeper."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.nii.gz").touch()
    (tmp_path / "in" / "deep" / "b.nii").touch()
    return tmp_path / "in"


def test_a_folder_keeps_its_structure(folder):
    assert [(path.name, name) for path, name in find_volumes(folder)] == [("a.nii.gz", "a"), ("b.nii", "deep/b")]
    assert find_volumes(folder / "deep" / "b.nii") == [(folder / "deep" / "b.nii", "b")]


def test_another_folder_is_fine(folder, tmp_path):
    for output in (tmp_path / "out", folder / "below", folder / "deep"):
        refuse_overwriting(find_volumes(folder / "a.nii.gz"), output)
        refuse_overwriting(find_volumes(folder), output)


@pytest.mark.parametrize("output", [".", "../in", "deep/.."])
def test_a_result_upon_its_scan_is_refused(folder, monkeypatch, output):
    monkeypatch.chdir(folder)
    for path in (folder, folder / "a.nii.gz", folder / "deep" / ".." / "a.nii.gz"):
        with pytest.raises(InputError, match=r"upon the scan .*a\.nii\.gz"):
            refuse_overwriting(find_volumes(path), folder / output)


def test_an_uncompressed_scan_keeps_its_neighbours(folder):
    with pytest.raises(InputError, match="upon the scan"):  # b.json and b.png there are not ours
        refuse_overwriting(find_volumes(folder / "deep" / "b.nii"), folder / "deep")


def test_a_link_hides_no_scan(folder, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.nii.gz").symlink_to(folder / "a.nii.gz")
    (tmp_path / "other").symlink_to(folder, target_is_directory=True)
    for path, output in (("links", "in"), ("links", "links"), ("in", "other"), ("other", "in")):
        with pytest.raises(InputError, match="upon the scan"):
            refuse_overwriting(find_volumes(tmp_path / path), tmp_path / output)


def test_two_scans_of_one_name_are_refused(folder, tmp_path):
    (folder / "a.nii").touch()
    with pytest.raises(InputError, match=r"a\.nii and .*a\.nii\.gz: both results would be named a"):
        refuse_overwriting(find_volumes(folder), tmp_path / "out")
