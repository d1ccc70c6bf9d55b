"""One odd file, sidecar or number never breaks a list, and no link leads out of a folder."""

import json
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from generatect.ct.nifti import write_nifti
from generatect.ct.scan import Reading
from generatect.web.names import meant, meant_in_folder, spelled
from tests.dicom_writer import save, series_of
from tests.web.conftest import noisy

SECRET = "a report of somebody else"
SIDECAR = {"notice": "SYNTHETIC", "prompt": "A nodule."}


def strict(answer):
    """What a browser's JSON.parse would read."""
    assert answer.status == 200, answer.body
    return json.loads(answer.body.decode("utf-8"), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def describe(served, volume_id):
    return strict(served.ask(f"/api/volume?{urlencode({'volume': volume_id})}"))


def listed(served, place):
    return [entry["name"] for entry in strict(served.ask(f"/api/folder?place={quote(place)}"))["volumes"]]


@pytest.fixture
def folder(served, tmp_path):
    """An opened folder of its own, with one good volume and its sidecar."""
    folder = served.folder / tmp_path.name
    folder.mkdir()
    write_nifti(folder / "good.nii.gz", noisy((6, 24, 20)))
    (folder / "good.json").write_text(json.dumps(SIDECAR))
    yield folder
    shutil.rmtree(folder)  # other tests look at the same opened folder


@pytest.fixture
def outside(tmp_path):
    """What nobody opened: a volume, a sidecar, a table, a DICOM series, all of the same name."""
    write_nifti(tmp_path / "x.nii.gz", noisy((6, 24, 20)))
    (tmp_path / "x.json").write_text(json.dumps({"notice": "SYNTHETIC", "prompt": SECRET}))
    (tmp_path / "x.csv").write_text(f"volume,text\nbare,{SECRET}\n")
    (tmp_path / "x.png").write_text(SECRET)
    save(tmp_path, series_of())
    return tmp_path


@pytest.mark.parametrize(
    "name", ["Erg\udcfcsse.nii.gz", "back\\slash.nii.gz", "\\xe9.nii.gz", "a\nb.nii.gz", "☃.nii.gz"]
)
def test_a_volume_of_any_name_is_listed_and_opens(served, folder, name):
    (folder / "good.nii.gz").rename(folder / name)
    (text,) = listed(served, f"0/{folder.name}")
    assert text == spelled(name)
    about = describe(served, f"files/0/{folder.name}/{text}")
    assert about["title"] == text
    for kind in ("nifti", "png"):
        query = urlencode({"volume": about["volume"], "format": kind})
        assert served.ask(f"/api/file?{query}").status == 200


@pytest.mark.parametrize("name", ["plain", "\udcff\udc80", "\\", "\\xe9", "é", "a\\x5cb", "\\x", "\\X5C"])
def test_a_name_is_spelled_in_one_way_and_meant_again(name):
    assert meant(spelled(name)) == name
    assert os.fsencode(name).decode("utf-8", "backslashreplace") == spelled(name).replace("\\x5c", "\\")


@pytest.mark.parametrize("text", ["a\\b", "\\x2e\\x2e", "\\x2f", "..", "", "a/b", "\\x5", "\\xE9", ".a", "a\0"])
def test_what_spells_no_name_in_a_folder_is_refused(text):
    with pytest.raises(ValueError, match="name"):
        meant_in_folder(text)


def test_links_to_themselves_and_to_nowhere_leave_the_rest_listed(served, folder):
    for name in ("self", "self.nii.gz", "self.csv"):
        (folder / name).symlink_to(folder / name)
    for name in ("nowhere", "nowhere.nii.gz", "nowhere.csv"):
        (folder / name).symlink_to(folder / "missing")
    os.mkfifo(folder / "pipe.nii.gz")
    (folder / "bare.nii.gz").symlink_to(folder / "good.nii.gz")
    (folder / "t.csv").write_text("volume,text\nbare,Found.\n")
    assert listed(served, f"0/{folder.name}") == ["bare.nii.gz", "good.nii.gz"]
    assert describe(served, f"files/0/{folder.name}/bare.nii.gz")["text"] == "Found."  # broken tables hide no other


@pytest.mark.parametrize(
    "content",
    [
        '{"notice": "S", "prompt": "p", "seed": NaN}',
        '{"notice": "S", "prompt": "p", "seed": 1e999, "grid_ssim": -Infinity}',
        '{"notice": "S", "prompt": "half \\ud83d", "\\udce9": ["\\udce9"]}',
        '{"notice": "\\ud83d", "prompt": ["p"], "seed": {"a": 1}, "source": 5, "tokens": "x", "upscale": null}',
        '{"notice": "S", "prompt": "p", "seed": ' + "9" * 4000 + "}",
        '{"notice": "S", "prompt": "p", "deep": ' + "[" * 90 + "]" * 90 + "}",
    ],
    ids=["nan", "infinity", "surrogate", "types", "digits", "deep"],
)
def test_a_strange_sidecar_breaks_neither_its_volume_nor_the_history(served, folder, content):
    for place in (folder, served.output):
        write_nifti(place / "strange.nii.gz", noisy((6, 24, 20)))
        (place / "strange.json").write_text(content)
    write_nifti(served.output / "good.nii.gz", noisy((6, 24, 20)))
    (served.output / "good.json").write_text(json.dumps(SIDECAR))
    entries = {entry["volume"]: entry for entry in strict(served.ask("/api/history"))}
    assert entries["made/good"]["title"] == "A nodule."
    assert isinstance(entries["made/strange"]["title"], str)
    assert isinstance(entries["made/strange"]["seed"], int | None)
    for volume_id in (f"files/0/{folder.name}/strange.nii.gz", "made/strange"):
        about = describe(served, volume_id)
        kept = served.ask(f"/api/file?volume={volume_id}&format=json")
        assert json.loads(kept.body.decode("utf-8")) == about["sidecar"]
        assert served.ask(f"/api/file?volume={volume_id}&format=png").status == 200


@pytest.mark.parametrize("depth", [150, 900, 100_000])
def test_a_sidecar_nested_more_deeply_is_none(served, folder, depth):
    (folder / "good.json").write_text('{"notice": "S", "deep": ' + "[" * depth + "]" * depth + "}")
    assert describe(served, f"files/0/{folder.name}/good.nii.gz")["sidecar"] is None


@pytest.mark.parametrize("seconds", [-(10**10), 10**11, 8 * 10**9])
def test_a_file_from_the_far_future_or_past_is_in_the_history(served, seconds):
    write_nifti(served.output / "dated.nii.gz", noisy((6, 24, 20)))
    (served.output / "dated.json").write_text(json.dumps(SIDECAR))
    os.utime(served.output / "dated.nii.gz", (seconds, seconds))
    assert "made/dated" in [entry["volume"] for entry in strict(served.ask("/api/history"))]


def test_links_that_lead_out_are_refused_on_every_road(served, folder, outside):
    """Volume, sidecar, table, slices, and the picture beside a volume; in the opened folder and in the output."""
    here = f"files/0/{folder.name}"
    for place in (folder, served.output):
        (place / "link.nii.gz").symlink_to(outside / "x.nii.gz")
        (place / "link.json").symlink_to(outside / "x.json")
        write_nifti(place / "bare.nii.gz", noisy((6, 24, 20)))
        (place / "bare.json").symlink_to(outside / "x.json")
        (place / "bare.png").symlink_to(outside / "x.png")
        (place / "t.csv").symlink_to(outside / "x.csv")
    (folder / "series").mkdir()
    for path in sorted(outside.glob("*.dcm")):
        (folder / "series" / path.name).symlink_to(path)
    (folder / "store").mkdir()  # within the opened folder, but not within what leads to it
    (folder / "store" / "out").symlink_to(outside)
    for name, target in (("linked", outside), ("twice", folder / "store"), ("root", "/")):
        (folder / name).mkdir()
        (folder / name / "slices").symlink_to(target)
    series = [f"{here}/{name}" for name in ("series", "linked", "twice", "root")]
    for volume_id in (f"{here}/link.nii.gz", *series, "made/link"):
        for address in ("volume", "nifti", "thumbnail", "file", "slice"):
            answer = served.ask(f"/api/{address}?volume={volume_id}&format=nifti&plane=axial&index=0")
            assert answer.status == 400, (volume_id, address)
            assert "\n" not in answer.json["error"]
    for volume_id in (f"{here}/bare.nii.gz", "made/bare"):
        about = describe(served, volume_id)
        assert (about["text"], about["sidecar"], about["notice"]) == (None, None, None)
        for kind in ("png", "json"):
            assert SECRET.encode() not in served.ask(f"/api/file?volume={volume_id}&format={kind}").body
    assert SECRET not in served.ask("/api/history").body.decode()
    assert listed(served, f"0/{folder.name}") == ["bare.nii.gz", "good.nii.gz"]


def test_links_within_the_folder_are_followed_on_every_road(served, folder):
    """As git-annex and DataLad keep everything."""
    store = folder / "store"
    store.mkdir()
    (folder / "good.nii.gz").rename(store / "v.nii.gz")
    (folder / "good.json").rename(store / "v.json")
    (folder / "good.nii.gz").symlink_to(store / "v.nii.gz")
    (folder / "good.json").symlink_to(store / "v.json")
    (store / "slices").mkdir()
    save(store / "slices", series_of())
    for name in ("series", "linked"):
        (folder / name).mkdir()
    for path in sorted((store / "slices").glob("*.dcm")):
        (folder / "series" / path.name).symlink_to(path)
    (folder / "series" / "gone.dcm").symlink_to(store / "gone.dcm")
    (folder / "linked" / "slices").symlink_to(store / "slices")
    (folder / "linked" / "again").symlink_to(folder / "linked")
    assert describe(served, f"files/0/{folder.name}/good.nii.gz")["text"] == "A nodule."
    for name in ("series", "linked"):
        assert describe(served, f"files/0/{folder.name}/{name}")["shape_zyx"] == [5, 6, 8]


@pytest.mark.parametrize("name", ["good.json", "t.csv", "t.xlsx"])
def test_a_pipe_where_a_text_should_be_stops_nobody(served, folder, name):
    (folder / "good.json").unlink()
    os.mkfifo(folder / name)
    assert describe(served, f"files/0/{folder.name}/good.nii.gz")["text"] is None


def test_what_was_described_is_what_is_sent_or_it_is_refused(served, folder):
    volume_id = f"files/0/{folder.name}/good.nii.gz"
    asked = [
        f"/api/{road}&volume={volume_id}" for road in ("slice?plane=axial&index=0", "nifti?x", "file?format=nifti")
    ]
    asked += [
        f"/api/slice?plane=axial&index=0&volume={volume_id}&minus=phantom/1",
        "/api/file?format=png&volume=phantom/1",
    ]
    states = {volume_id: describe(served, volume_id)["state"], "phantom/1": describe(served, "phantom/1")["state"]}
    asked = [f"{road}&state={states[road.split('volume=')[1].split('&')[0]]}" for road in asked]
    assert [served.ask(road).status for road in asked] == [200] * 5
    write_nifti(folder / "good.nii.gz", noisy((7, 24, 20)))
    assert [served.ask(road).status for road in asked] == [409] * 4 + [200]
    assert served.ask(asked[0]).json["error"] == "The file has changed since it was opened."


def test_half_a_character_in_a_report_is_refused_and_the_list_of_jobs_stays(served):
    before = len(served.ask("/api/jobs").json)
    answer = served.ask("/api/jobs", method="POST", body=b'{"prompt": "nodule \\ud83d", "steps": 900}')
    assert answer.status == 400
    assert answer.json["error"] == "The report holds half a character at position 8; type it anew."
    assert len(strict(served.ask("/api/jobs"))) == before


@pytest.mark.parametrize("digits", [400, 4000])
def test_a_number_of_hundreds_of_digits_is_refused_in_one_short_sentence(served, digits):
    number = "9" * digits
    asked = [served.ask(f"/api/cost?{key}={number}") for key in ("guidance", "steps", "upscale_steps")]
    for key in ("guidance", "steps", "upscale_steps", "seed"):
        asked.append(served.ask("/api/jobs", method="POST", body=f'{{"prompt": "x", "{key}": {number}}}'.encode()))
    for answer in asked:
        assert answer.status == 400
        assert "expected a" in answer.json["error"]
        assert len(answer.json["error"]) < 100


def test_a_place_or_slice_of_thousands_of_digits_is_refused(served):
    for address in (f"folder?place={'9' * 5000}", f"volume?volume=files/{'9' * 5000}/a.nii", "folder?place=٠"):
        assert served.ask(f"/api/{quote(address, safe='?=/')}").status == 400
    assert served.ask(f"/api/slice?volume=phantom/1&plane=axial&index={'9' * 5000}").status == 400


def test_a_folder_that_is_opened_as_dot_is_no_error(served, folder, monkeypatch):
    """Its own name is empty, so that nothing can lie beside it."""
    from generatect.web.folders import Folders
    from generatect.web.library import Library

    (folder / "series").mkdir()
    save(folder / "series", series_of())
    monkeypatch.chdir(folder / "series")
    library = Library(Path("out"), Folders(["."]), served.studio.examples, Reading())
    assert library.about("files/0").sidecar == {}
    assert library.volume("files/0").shape_zyx == (5, 6, 8)


def test_jobs_are_told_of_while_every_reader_waits_for_a_disk(served):
    """More requests than threads wait for one volume; as for a network drive that does not answer."""
    library, go_on = served.studio.library, threading.Event()
    key = ("phantom/2", library.state("phantom/2"))
    first = threading.Thread(
        target=lambda: library.kept.get(key, lambda: go_on.wait(60) and library._read("phantom/2"))
    )
    first.start()
    waiting = [threading.Thread(target=served.ask, args=("/api/volume?volume=phantom/2",)) for _ in range(50)]
    try:
        for thread in waiting:
            thread.start()
        for _ in range(3):
            assert served.ask("/api/jobs").status == 200
            assert served.ask("/api/about").status == 200
        assert all(thread.is_alive() for thread in waiting)
    finally:
        go_on.set()
        for thread in [first, *waiting]:
            thread.join(60)
    assert served.ask("/api/volume?volume=phantom/2").status == 200
