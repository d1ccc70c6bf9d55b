"""The static twins: pictures, films and a page that needs no server."""

import base64
import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from generatect.config.command import run_command
from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.phantom.pairs import PhantomPairs
from generatect.render import name_inputs, render
from generatect.web.bundle import SCRIPTS, bundle
from generatect.web.film import ADVICE, can_film, write_mp4
from generatect.web.standalone import RANGE_HU, STEP_HU, as_html

SCRIPT = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>'


@pytest.fixture
def scan(tmp_path):
    """A phantom's scan with its sidecar."""
    path = tmp_path / "scans" / "a scan.nii.gz"
    path.parent.mkdir()
    write_nifti(path, PhantomPairs(num=1, seed=5, native_shape_zyx=(24, 64, 56)).volume(0))
    sidecar = {"notice": "SYNTHETIC: not a patient. PHANTOM", "prompt": f"Clear lungs. {SCRIPT}"}
    path.with_name("a scan.json").write_text(json.dumps(sidecar))
    return path


def unpacked(page: str) -> np.ndarray:
    """The HU that a page holds, read as its script reads them."""
    meta = json.loads(re.search(r'id="meta">(.*?)</script>', page, re.DOTALL)[1])
    packed = re.search(r'id="voxels">(.*?)</script>', page, re.DOTALL)[1]
    low, high = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(2, -1)
    steps = (low.astype(np.int16) | (high.astype(np.int16) << 8)).reshape(meta["shape_zyx"])
    return np.cumsum(steps, axis=2) * meta["step_hu"] + meta["low_hu"]


def test_all_views_are_written(command, scan, tmp_path):
    ended = command("render", f"input={scan.parent}", f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    names = {"a scan.png", "a scan-maximum.png", "a scan-minimum.png", "a scan.gif", "a scan.html"}
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == names | ({"a scan.mp4"} if can_film() else set())
    assert can_film() or ADVICE in ended.out
    with Image.open(tmp_path / "out" / "a scan.gif") as walk:
        assert walk.n_frames == 24


def test_a_name_that_is_not_utf8_and_half_a_character_in_a_sidecar_are_spelled_by_escapes(command, scan, tmp_path):
    scan.rename(scan.with_name("Erg\udcfcsse.nii.gz"))
    said = '{"notice": "SYNTHETIC", "prompt": "half \\ud83d", "seed": NaN}'
    scan.with_name("a scan.json").write_text(said)
    scan.with_name("a scan.json").rename(scan.with_name("Erg\udcfcsse.json"))
    ended = command("render", f"input={scan.parent}", f"output={tmp_path / 'out'}", "views=[html,montage]")
    assert ended.code == 0, ended.err
    page = (tmp_path / "out" / "Erg\udcfcsse.html").read_text(encoding="utf-8")
    assert "<title>Erg\\udcfcsse</title>" in page
    assert json.loads(re.search(r'id="meta">(.*?)</script>', page, re.DOTALL)[1])["text"] == "half \\ud83d"


def test_files_may_be_named_as_they_are(scan, tmp_path):
    run = [sys.executable, "-m", "generatect.render", scan, f"output={tmp_path / 'out'}", "views=[montage]"]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a scan.png"]


def test_words_that_are_files_become_the_input():
    assert name_inputs(["a.nii", "output=x", "it's.nii"]) == ["input=['a.nii','it\\'s.nii']", "output=x"]
    assert name_inputs(["input=a.nii", "--help"]) == ["input=a.nii", "--help"]


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["input=nowhere.nii"], "nowhere.nii: no such file"),
        (["input=[]"], "input: no file"),
        ([], "input: a value is needed"),
        (["input=SCAN", "views=[film]"], "'film' is none"),
        (["input=SCAN", "window=brain"], "window=brain"),
        (["input=[SCAN,SCAN]"], "both results would be named"),
        (["input=SCAN", "output=FOLDER"], "would lie upon the scan"),
    ],
)
def test_what_is_refused(command, scan, tmp_path, overrides, part):
    put = [word.replace("SCAN", f"'{scan}'").replace("FOLDER", str(scan.parent)) for word in overrides]
    ended = command("render", f"output={tmp_path / 'out'}", *put)
    assert ended.code == 2
    assert ended.err.count("\n") == 1, ended.err
    assert part in ended.err
    assert len(list(scan.parent.iterdir())) == 2


def test_a_page_holds_the_hu_to_the_step():
    volume = PhantomPairs(num=1, seed=5, native_shape_zyx=(10, 40, 30)).volume(0)
    kept = unpacked(as_html(volume, "a"))
    assert np.abs(kept - volume.voxels_hu.clip(*RANGE_HU)).max() <= STEP_HU / 2


def test_a_finer_volume_is_averaged():
    grid = Grid((4, 448, 8), (1.0, 1.0, 1.0))
    voxels = np.zeros(grid.shape_zyx, np.int16)
    voxels[:, 0::2] = 200
    kept = unpacked(as_html(CTVolume(voxels, grid.affine()), "a"))
    assert kept.shape == (4, 224, 8)
    assert set(np.unique(kept)) == {100}


def test_a_page_names_nothing_outside_itself():
    volume = PhantomPairs(num=1, seed=5, native_shape_zyx=(10, 40, 30)).volume(0)
    page = as_html(volume, SCRIPT, SCRIPT, SCRIPT)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"""(src|href)=["']?(https?:|//|/static)""", page)
    assert page.count("</script>") == 4  # ours: no text has ended one


def test_the_bundle_holds_every_module_once():
    script = bundle(SCRIPTS / "standalone.js")
    assert not re.search(r"^\s*(import|export) ", script, re.MULTILINE)
    assert script.count("class SliceViewer") == script.count("class PlaneView") == 1
    assert "niivue" not in script.split("standalone")[0].lower().replace("niivueviewer", "")


def test_a_film_is_an_mp4_of_all_slices(tmp_path):
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        pytest.skip("no imageio-ffmpeg")
    import imageio_ffmpeg

    volume = PhantomPairs(num=1, seed=5, native_shape_zyx=(10, 40, 40)).volume(0)
    write_mp4(volume, tmp_path / "a.mp4", size_px=128, label="SYNTHETIC")
    num, _seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4"))
    assert num == 18  # up, and back
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_one_bad_volume_ends_no_folder_and_no_name_ends_a_line(command, scan, tmp_path):
    """Names of files need not be UTF-8; pages and lines are."""
    folder, output = scan.parent, tmp_path / "out"
    odd = os.fsdecode(b"gr\xfc\xdfe")
    shutil.copy(scan, folder / f"{odd}.NII.GZ")
    (folder / "a bad.nii.gz").write_bytes(scan.read_bytes()[:100])
    (folder / "._b.nii.gz").write_bytes(b"macOS")
    ended = command("render", f"input={folder}", f"output={output}", "views=[montage,html]")
    assert ended.code == 2
    assert "1 of 3 volumes could not be done" in ended.err
    assert ended.err.count("\n") == 1
    assert "not done:\n" in ended.out
    assert {path.name for path in output.iterdir()} == {
        f"{name}{ending}" for name in ("a scan", odd) for ending in (".png", ".html")
    }
    assert r"gr\udcfc\udcdfe" in (output / f"{odd}.html").read_text(encoding="utf-8")

    terminal = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    with contextlib.redirect_stdout(terminal), contextlib.chdir(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["render", f"input={folder}", f"output={output}", "views=[montage]"])
        with pytest.raises(SystemExit):
            run_command("render", render)
    terminal.seek(0)
    assert rf"{output}/gr\udcfc\udcdfe.png" in terminal.read()
