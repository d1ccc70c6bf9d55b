"""What is listed of the opened folders, and what is known of a volume in them."""

import json
import os

import pytest

from generatect.data.rows import read_rows
from generatect.errors import InputError
from generatect.web import folders as folders_module
from generatect.web import texts
from generatect.web.folders import Folders
from generatect.web.texts import MAX_SIDECAR_BYTES, find_text, read_sidecar
from tests.dicom_writer import save, series_of


@pytest.fixture
def root(tmp_path):
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    for name in ("b.nii.gz", "a.nii", "deep/c.nii.gz", "notes.txt", ".hidden.nii", "deep/deeper/d.nii"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "series").mkdir()
    save(tmp_path / "series", series_of())
    return tmp_path


def test_folders_volumes_and_dicom_series_are_listed_and_nothing_else(root):
    listing = Folders([str(root)]).listing("0")
    assert listing.folders == ["deep"]
    assert listing.volumes == ["a.nii", "b.nii.gz", "series"]
    assert not listing.is_cut
    assert Folders([str(root)]).listing("0/deep").volumes == ["c.nii.gz"]


def test_several_folders_do_not_see_each_other(root):
    folders = Folders([str(root / "deep" / "deeper"), str(root)])
    assert folders.listing("0").volumes == ["d.nii"]
    assert folders.volume_path("1/deep/c.nii.gz") == root / "deep" / "c.nii.gz"
    with pytest.raises(InputError, match="no such place"):
        folders.resolve("0/c.nii.gz")


def test_a_link_within_the_folder_is_followed_and_one_out_of_it_is_not(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.nii"
    outside.write_bytes(b"")
    (root / "inner.nii").symlink_to(root / "a.nii")
    (root / "outer.nii").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    folders = Folders([str(root)])
    assert folders.volume_path("0/inner.nii").is_file()
    for place in ("0/outer.nii", "0/loop", "0/missing.nii"):
        with pytest.raises(InputError, match="no such place"):
            folders.resolve(place)


def test_an_opened_folder_may_itself_be_a_link(root, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "data"
    link.symlink_to(root)
    assert Folders([str(link)]).listing("0").volumes[0] == "a.nii"


def test_a_listing_too_long_says_that_it_is_cut(root, monkeypatch):
    monkeypatch.setattr(folders_module, "MAX_LISTED", 2)
    listing = Folders([str(root)]).listing("0")
    assert listing.is_cut
    assert len(listing.folders) + len(listing.volumes) == 2


def test_the_report_is_that_of_the_nearest_table(root):
    (root / "reports.csv").write_text("volume,text,notice\ndeep/c,From above,PHANTOM\nb.nii.gz,Of b,\n")
    assert find_text(root / "deep" / "c.nii.gz", root) == ("From above", "PHANTOM")
    assert find_text(root / "b.nii.gz", root) == ("Of b", None)
    assert find_text(root / "a.nii", root) == (None, None)
    (root / "deep" / "near.csv").write_text("volume,findings,impression\nc.nii.gz,Near.,Clear.\n")
    assert find_text(root / "deep" / "c.nii.gz", root) == ("Near. Clear.", None)
    assert find_text(root / "deep" / "c.nii.gz", root / "deep" / "deeper") == (None, None)  # above is not opened


def test_other_tables_and_broken_ones_are_passed_over(root):
    (root / "a.csv").write_text("name,age\nx,1\n")
    (root / "b.csv").write_bytes(b"\xff\xfe\x00broken")
    (root / "c.xlsx").write_bytes(b"no workbook")
    (root / "d.csv").write_text("volume,text\nb,Found\n")
    assert find_text(root / "b.nii.gz", root) == ("Found", None)


def test_what_stands_for_no_report_is_none_and_paths_are_as_in_training(root):
    rows = ["a.nii,nan,Not given.", f"{root / 'b.nii.gz'},Whole path.,", "deep\\c.nii.gz,Of Windows.,-"]
    (root / "reports.csv").write_text("\n".join(["volume,text,findings", *rows]))
    assert find_text(root / "a.nii", root) == (None, None)
    assert find_text(root / "b.nii.gz", root) == ("Whole path.", None)
    assert find_text(root / "deep" / "c.nii.gz", root) == ("Of Windows.", None)


def test_a_table_is_read_once_until_it_changes(root, monkeypatch):
    read = []
    monkeypatch.setattr(texts, "read_rows", lambda path, expected: read.append(path) or read_rows(path, expected))
    (root / "reports.csv").write_text("volume,text\nb,First\n")
    assert [find_text(root / "b.nii.gz", root)[0] for _ in range(3)] == ["First"] * 3
    assert len(read) == 1
    (root / "reports.csv").write_text("volume,text\nb,Second\n")
    assert find_text(root / "b.nii.gz", root)[0] == "Second"
    assert len(read) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", '{"prompt": "x"}', '{"notice": 5}', "[" * 100_000])
def test_what_is_no_sidecar_of_ours_is_none(root, content):
    (root / "b.json").write_text(content)
    assert read_sidecar(root / "b.nii.gz") == {}


def test_a_sidecar_is_read_unless_it_is_huge(root):
    (root / "b.json").write_text(json.dumps({"notice": "SYNTHETIC", "prompt": "x"}))
    assert read_sidecar(root / "b.nii.gz")["prompt"] == "x"
    (root / "b.json").write_text(json.dumps({"notice": "SYNTHETIC" * MAX_SIDECAR_BYTES}))
    assert read_sidecar(root / "b.nii.gz") == {}


def test_pipes_are_passed_over_and_links_are_followed_unless_they_must_stay_within(root, tmp_path_factory):
    """As in `render`, where a link of the user's may lead anywhere; opening a pipe would wait for ever."""
    os.mkfifo(root / "a.json")
    os.mkfifo(root / "a.csv")
    outside = tmp_path_factory.mktemp("elsewhere")
    (outside / "b.json").write_text(json.dumps({"notice": "SYNTHETIC", "prompt": "x"}))
    (outside / "t.csv").write_text("volume,text\na,Found\n")
    (root / "b.json").symlink_to(outside / "b.json")
    (root / "t.csv").symlink_to(outside / "t.csv")
    assert read_sidecar(root / "a.nii") == {}
    assert read_sidecar(root / "b.nii.gz")["prompt"] == "x"
    assert read_sidecar(root / "b.nii.gz", within=root) == {}
    assert find_text(root / "a.nii", root) == ("Found", None)
    assert find_text(root / "a.nii", root, within=root) == (None, None)
