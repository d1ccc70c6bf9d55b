"""Which files of a folder are volumes, whatever leads to them."""

import os
import unicodedata

import pytest

from generatect.ct.volume_files import files_below, is_volume_file, volume_name, without_ending
from generatect.errors import InputError


def test_a_volume_is_told_by_its_ending_in_any_case():
    assert all(map(is_volume_file, ("a.nii", "a.nii.gz", "A.NII.GZ", "a.Nii.gz")))
    assert not any(map(is_volume_file, ("._a.nii.gz", ".a.nii.gz.x.part", "a.gz", "a.nii.json", "nii")))
    assert [without_ending(name) for name in ("b/a.nii", "A.NII.GZ", "a.b", "a.nii.nii")] == [
        "b/a",
        "A",
        "a.b",
        "a.nii",
    ]
    composed, apart = (unicodedata.normalize(form, "Größe.nii.gz") for form in ("NFC", "NFD"))
    assert composed != apart
    assert volume_name(composed) == volume_name(apart) == "Größe"
    assert volume_name(os.fsdecode(b"gr\xfc\xdfe.nii")) == r"gr\udcfc\udcdfe"


def test_linked_folders_are_entered_once_and_links_in_a_circle_end(tmp_path):
    for place in ("in/z/a", "in/b", "out/c", "out/deep/d"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    for place, target in (("in/a", "in/z"), ("in/m", "out"), ("in/n", "out"), ("in/up", "in"), ("out/deep/up", "in")):
        (tmp_path / place).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / "in" / "self").symlink_to("self")
    (tmp_path / "in" / "gone").symlink_to("nowhere")
    found = [path.relative_to(tmp_path / "in").as_posix() for path in files_below(tmp_path / "in")]
    assert found == ["b", "m/c", "m/deep/d", "z/a"]  # what lies there itself goes before what a link leads to
    with pytest.raises(InputError, match="more than 3 files"):
        files_below(tmp_path / "in", 3)


def test_a_folder_that_cannot_be_listed_is_refused_or_told(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "a").touch()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)  # root may list everything
    with pytest.raises(InputError, match=r"closed: cannot be listed \(Permission denied\)"):
        files_below(tmp_path)
    told = list[InputError]()
    assert files_below(tmp_path, closed=told) == [tmp_path / "a"]
    assert len(told) == 1
