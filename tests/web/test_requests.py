"""What the page asks for, and what it is told."""

import gzip
import io
import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from generatect.ct.nifti import read_nifti
from generatect.ct.resample import resample_like
from tests.web.conftest import PROMPT, QUICK

SCRIPT = '<script>document.title="owned"</script><img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def volume(served):
    return served.make()


def pixels(answer):
    shape = int(answer.headers["x-rows"]), int(answer.headers["x-columns"])
    return np.frombuffer(answer.body, "<i2").reshape(shape)


def test_about_says_what_the_form_needs(served):
    about = served.ask("/api/about").json
    assert about["notice"].startswith("PHANTOM")
    assert about["grid"]["shape_zyx"] == [17, 192, 192]
    assert len(about["examples"]) >= 6
    assert about["folders"] == [served.folder.name]


def test_the_cost_is_known_beforehand_and_grows_with_the_steps(served):
    served.make()  # the networks have been timed by then
    few, many = (served.ask(f"/api/cost?steps={n}&upscale_steps={n}").json["cost"] for n in (1, 900))
    assert "17 × 192 × 192 voxels" in few
    assert " s on cpu" in few
    assert " min on cpu" in many or " h " in many


def test_history_lists_what_was_made_and_survives_a_restart(served, volume):
    from generatect.web.history import made

    entry = next(entry for entry in served.ask("/api/history").json if entry["volume"] == volume)
    assert entry["title"] == PROMPT
    assert entry["seed"] == 0
    assert "PHANTOM" in entry["notice"]
    assert entry in made(served.output)  # from the disk alone


def test_a_volume_is_described(served, volume):
    about = served.ask(f"/api/volume?volume={volume}").json
    assert about["text"] == PROMPT
    assert about["shape_zyx"] == [17, 192, 192]
    assert about["sidecar"]["seed"] == 0
    product = np.array(about["affine"]) @ np.array(about["inverse"])
    np.testing.assert_allclose(product, np.eye(4), atol=1e-9)


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
def test_slices_are_the_files_hu(served, volume, plane, axis):
    name = volume.partition("/")[2]
    voxels = np.asanyarray(nib.load(served.output / f"{name}.nii.gz").dataobj).transpose(2, 1, 0)  # stored as LPS
    expected = np.take(voxels, 9, axis=axis)
    shown = pixels(served.ask(f"/api/slice?volume={volume}&plane={plane}&index=9"))
    np.testing.assert_array_equal(shown, expected if axis == 0 else expected[::-1])
    most = pixels(served.ask(f"/api/projection?volume={volume}&plane={plane}&kind=maximum"))
    np.testing.assert_array_equal(most, voxels.max(axis) if axis == 0 else voxels.max(axis)[::-1])


def test_the_viewers_nifti_is_the_file(served, volume, tmp_path):
    path = tmp_path / "viewer.nii"
    path.write_bytes(served.ask(f"/api/nifti?volume={volume}").body)
    name = volume.partition("/")[2]
    ours, kept = nib.load(path), nib.load(served.output / f"{name}.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(ours.dataobj), np.asanyarray(kept.dataobj))
    np.testing.assert_allclose(ours.affine, kept.affine)


def test_downloads_read_back(served, volume):
    def file(kind):
        answer = served.ask(f"/api/file?volume={volume}&format={kind}")
        assert answer.status == 200
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        return answer.body

    image = nib.Nifti1Image.from_bytes(gzip.decompress(file("nifti")))
    assert image.shape == (192, 192, 17)
    assert json.loads(file("json"))["prompt"] == PROMPT
    with Image.open(io.BytesIO(file("png"))) as picture:
        assert picture.format == "PNG"
    with Image.open(io.BytesIO(file("gif"))) as walk:
        assert walk.n_frames == 17
    assert served.ask(f"/api/file?volume={volume}&format=exe").status == 400


def test_two_volumes_compare(served, volume):
    other = served.make(seed=5)
    pair = served.ask(f"/api/pair?a={volume}&b={other}").json
    assert pair["no_difference"] is None
    assert pair["offset_mm"] == [0, 0, 0]
    a, b = (pixels(served.ask(f"/api/slice?volume={v}&plane=axial&index=8")).astype(int) for v in (volume, other))
    changed = pixels(served.ask(f"/api/slice?volume={other}&minus={volume}&plane=axial&index=8"))
    np.testing.assert_array_equal(changed, b - a)
    assert np.abs(changed).max() > 100


def test_a_browsed_volume_comes_with_its_report_and_can_be_reconstructed(served):
    source = "files/0/scans/a.nii.gz"
    assert served.ask("/api/folder?place=0/scans").json["volumes"] == [{"name": "a.nii.gz", "volume": source}]
    about = served.ask(f"/api/volume?volume={source}").json
    assert about["text"] == "Clear <b>lungs</b>."
    job = served.ask("/api/jobs", method="POST", body={"kind": "reconstruct", "volume": source}).json
    done = served.wait(job["id"], lambda job: job["state"] in ("done", "failed"))
    assert done["state"] == "done", done
    pair = served.ask(f"/api/pair?a={source}&b={done['volume']}").json
    assert pair["no_difference"] is None
    sidecar = served.ask(f"/api/volume?volume={done['volume']}").json["sidecar"]
    assert sidecar["source"] == source


def test_a_phantom_lies_where_the_generated_volume_does(served, volume):
    assert served.ask("/api/volume?volume=phantom/1").json["notice"].startswith("PHANTOM")
    assert served.ask(f"/api/pair?a=phantom/1&b={volume}").json["no_difference"] is None
    assert served.ask("/api/volume?volume=phantom/99").status == 400


def test_an_uploaded_file_is_looked_at_and_kept_nowhere(served):
    path = served.folder / "scans" / "a.nii.gz"
    before = sorted(served.output.iterdir())
    sent = served.ask("/api/uploads?name=..%2F..%2Fmine.nii.gz", method="POST", body=path.read_bytes())
    assert sent.status == 201
    about = served.ask(f"/api/volume?volume={sent.json['volume']}").json
    assert about["title"] == "mine.nii.gz"
    expected = read_nifti(path).voxels_hu
    shown = pixels(served.ask(f"/api/slice?volume={sent.json['volume']}&plane=axial&index=3"))
    np.testing.assert_array_equal(shown, np.rint(expected[3]))
    assert sorted(served.output.iterdir()) == before
    assert served.ask("/api/volume?volume=opened/99").status == 400


def test_a_bad_upload_is_one_sentence(served):
    for content in (b"", b"hello", gzip.compress(b"hello" * 100), bytes(2000)):
        answer = served.ask("/api/uploads?name=x.nii", method="POST", body=content)
        assert answer.status == 400
        assert answer.json["error"].startswith("The file: ")
        assert "\n" not in answer.json["error"]
        assert "/tmp" not in answer.json["error"]


def test_the_difference_of_unlike_grids_is_on_the_first_ones(served, volume):
    source = "files/0/scans/a.nii.gz"
    pair = served.ask(f"/api/pair?a={source}&b={volume}").json
    assert pair["no_difference"] is None
    first, second = read_nifti(served.folder / "scans" / "a.nii.gz"), served.studio.library.volume(volume)
    expected = np.rint(resample_like(second, first).voxels_hu - np.rint(first.voxels_hu))[12]
    shown = pixels(served.ask(f"/api/slice?volume={volume}&minus={source}&plane=axial&index=12"))
    np.testing.assert_allclose(shown, expected, atol=1)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"prompt": ""}, "Write a report"),
        ({"prompt": "   "}, "Write a report"),
        ({"prompt": None}, "Write a report"),
        ({"prompt": 5}, "Write a report"),
        ({"prompt": "x" * 20_001}, "20001 characters"),
        ({"prompt": " Not given. "}, "'Not given.' stands for no report"),
        ({"seed": -1}, "Seed -1: expected a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "Seed 4294967296: expected"),
        ({"seed": 0.5}, "Seed 0.5: expected"),
        ({"seed": True}, "Seed: expected"),
        ({"seed": "1"}, "Seed: expected"),
        ({"steps": 0}, "Token steps 0: expected a whole number from 1"),
        ({"steps": 10**9}, "Token steps 1000000000"),
        ({"upscale_steps": 0}, "Upscaling steps 0"),
        ({"guidance": "much"}, "Guidance: expected a number"),
        ({"guidance": -1}, "Guidance -1"),
        ({"guidance": 1e30}, "Guidance: expected a number from 0 to 100"),
        ({"kind": "reconstruct", "volume": "made/nothing"}, "no such volume"),
        ({"kind": "reconstruct"}, "no such volume"),
    ],
)
def test_a_wrong_wish_is_one_sentence(served, settings, part):
    before = len(served.ask("/api/jobs").json)
    answer = served.ask("/api/jobs", method="POST", body={"prompt": "x", **settings})
    assert answer.status == 400
    assert part in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert len(served.ask("/api/jobs").json) == before


def test_a_report_longer_than_is_read_says_so_at_once(served):
    answer = served.ask("/api/jobs", method="POST", body={"prompt": "word " * 300})
    assert answer.status == 201
    assert answer.json["settings"]["report"].startswith("reads 128 of 300 tokens: ")
    assert served.ask(f"/api/jobs/{answer.json['id']}", method="DELETE").status == 200
    served.wait(answer.json["id"], lambda job: job["state"] == "cancelled")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(served, body):
    assert served.ask("/api/jobs", method="POST", body=body).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/slice?volume=phantom/1&plane=axial&index=17",
        "/api/slice?volume=phantom/1&plane=axial&index=-1",
        "/api/slice?volume=phantom/1&plane=axial&index=x",
        "/api/slice?volume=phantom/1&plane=oblique&index=0",
        "/api/slice?volume=phantom/1&index=0",
        "/api/projection?volume=phantom/1&plane=axial&kind=median",
        "/api/pair?a=phantom/1",
        "/api/cost?steps=many",
        "/api/jobs/nothing/picture",
    ],
)
def test_a_wrong_request_is_one_sentence(served, path):
    answer = served.ask(path)
    assert answer.status == 400
    assert answer.json["error"]


def test_two_jobs_beyond_the_queue_are_refused_and_cancelled_ones_leave_nothing(served):
    before = sorted(served.output.iterdir())
    long = {"prompt": PROMPT, "steps": 900}
    accepted = [served.ask("/api/jobs", method="POST", body=long).json["id"] for _ in range(3)]
    served.wait(accepted[0], lambda job: job["state"] == "running" and job["stages"])
    for _ in range(2):
        answer = served.ask("/api/jobs", method="POST", body=long)
        assert answer.status == 429
        assert "one job runs and 2 wait" in answer.json["error"]
    served.wait(accepted[0], lambda job: job["pictures"] > 0)
    picture = served.ask(f"/api/jobs/{accepted[0]}/picture")
    assert picture.body.startswith(b"\x89PNG")
    for job_id in accepted:
        assert served.ask(f"/api/jobs/{job_id}", method="DELETE").status == 200
    for job_id in accepted:
        served.wait(job_id, lambda job: job["state"] == "cancelled", seconds=20)
    assert sorted(served.output.iterdir()) == before
    assert served.make(**QUICK).startswith("made/")  # and the next one runs


def test_a_script_in_a_report_stays_text(served):
    made = served.make(prompt=SCRIPT)
    answer = served.ask(f"/api/volume?volume={made}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["text"] == SCRIPT
    for sent in (f"/api/file?volume={made}&format=json", "/api/history", "/api/jobs"):
        assert served.ask(sent).headers["content-type"] in ("application/json", "application/octet-stream")
