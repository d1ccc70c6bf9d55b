"""Files that are either whole or absent, under any name that a file may have."""

import os

import pytest

from generatect.files import atomic_path, temporary_prefix


@pytest.mark.parametrize(
    "name",
    ["a", "volume.nii.gz", "x" * 247, "x" * 255, "ä" * 127, "x" + "漢" * 84, os.fsdecode(b"\xff" * 255)],
    ids=["short", "usual", "247", "255", "two bytes", "three bytes", "no text"],
)
def test_every_name_that_a_file_may_have_can_be_written(tmp_path, name):
    path = tmp_path / name
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"content")
        assert [found.name for found in tmp_path.iterdir()] == [temporary.name]
        assert temporary.name.startswith(temporary_prefix(name))
        assert temporary.name.endswith(".part")
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_short_names_stay_whole_in_those_of_their_beginnings():
    """Whoever clears up after a killed process tells the files of one name from those of another."""
    assert temporary_prefix("a.nii.gz") == ".a.nii.gz."


def test_a_failure_names_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="a folder is needed") as error, atomic_path(tmp_path / "a"):
        raise OSError(28, "a folder is needed")
    assert error.value.filename == str(tmp_path / "a")
    with pytest.raises(FileExistsError) as error, atomic_path(tmp_path / "file" / "a"):
        pass
    assert str(tmp_path / "file") in str(error.value)
