"""The command: what it prints and writes, and the one line that bad input ends in."""

import csv
import gzip
import json
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra

from generatect.evaluate import main
from generatect.evaluation.result import read_results
from generatect.files import sha256_of_file
from tests.evaluation.folders import noise, write_folder, write_volume
from tests.evaluation.tiny_clip import write_clip
from tests.evaluation.torchscript import Clips, save

QUICKEST = "metrics=[hu_histogram]"
QUICK = ("evaluation.resamples=10", "evaluation.floor_splits=4", "device=cpu")


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Real and generated volumes of the same names."""
    return write_folder(tmp_path / "real", 4, 0), write_folder(tmp_path / "fake", 4, 1)


@pytest.fixture
def evaluate(command, tmp_path, folders):
    """Function that runs the command on both folders and returns how it ended."""
    real, fake = folders

    def run(*overrides: str):
        where = (f"real={real}", f"fake={fake}", f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}")
        return command("evaluate", *where, *QUICK, *overrides)

    return run


@pytest.fixture
def refused(evaluate, tmp_path):
    """Function asserting that the command ends in one line that says something, and writes no result."""

    def run(said: str, *overrides: str) -> None:
        ended = evaluate(*overrides)
        lines = ended.err.strip().splitlines()
        assert (ended.code, len(lines)) == (2, 1), ended.err
        assert said in lines[0]
        assert "Traceback" not in ended.out + ended.err
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())

    return run


def test_everything_at_once(evaluate, tmp_path):
    clip = write_clip(tmp_path / "clip")
    names = "[fid,fvd,fid_2.5d,hu_histogram,z_continuity,clip_score,psnr,ssim]"
    ended = evaluate(f"metrics={names}", f"clip_score.model={clip}")
    assert ended.code == 0, ended.err
    results = {result.metric: result for result in read_results(tmp_path / "out" / "results.json")}
    windows = ("", "_lung", "_mediastinum", "_bone")
    expected = {"fid", "kid", "fvd", "kvd", "fid_2.5d", "hu_histogram", "z_continuity", "clip_score"}
    assert set(results) == expected | {f"{name}{window}" for name in ("psnr", "ssim") for window in windows}
    assert all(result.preset == "robust" for result in results.values())
    assert all(result.interval[0] <= result.value <= result.interval[1] for result in results.values())
    assert (results["fid"].num_real, results["clip_score"].num_real, results["psnr"].num_real) == (4, 0, 4)
    assert results["fid"].floor.num == 2
    assert results["clip_score"].floor.of == "the same volumes against others' prompts"
    assert "untrained" in results["fvd"].detector.name
    assert len(results["fid"].real_files_sha256) == 64
    for metric in results:
        assert metric in ended.out
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        assert [row["metric"] for row in csv.DictReader(file)] == list(results)
    again = evaluate(f"metrics={names}", f"clip_score.model={clip}")
    assert "8 of 8 volumes have been measured before" in again.out
    assert {result.metric: result for result in read_results(tmp_path / "out" / "results.json")} == results


def test_a_detector_by_file_needs_its_hash(evaluate, refused, tmp_path):
    path = save(Clips(), tmp_path / "i3d.pt")
    found = sha256_of_file(path)
    named = ("metrics=[fvd]", f"fvd.detector={path}")
    refused(f"add fvd.sha256={found}", *named)
    refused("gives 48 features, expected 400", *named, f"fvd.sha256={found}")
    ended = evaluate(*named, f"fvd.sha256={found}", "fvd.width=48", "evaluation=stylegan_v")
    assert ended.code == 0, ended.err
    (result,) = read_results(tmp_path / "out" / "results.json")
    assert (result.detector.name, result.detector.sha256, result.preset) == ("i3d.pt", found, "stylegan_v")


def test_a_network_of_ours_as_a_detector(evaluate, refused, tmp_path):
    node = "{_target_:generatect.evaluation.random_network.RandomNetwork,kind:images,seed:3}"
    ended = evaluate("metrics=[fid]", f"fid.detector={node}")
    assert ended.code == 0, ended.err
    assert "seed 3" in read_results(tmp_path / "out" / "results.json")[0].detector.name
    shutil.rmtree(tmp_path / "out")
    refused("not allowed", "metrics=[fid]", "fid.detector={_target_:os.system,command:ls}")


def test_weights_and_long_prompts_are_said(evaluate, folders, tmp_path):
    _, fake = folders
    for index in range(4):
        text = "large effusion. " * (20 if index < 3 else 1)
        write_volume(fake / f"v{index}.nii.gz", noise(50 + index, 20, 16, 16), text, weights_sha256={"ctvit": "a" * 64})
    ended = evaluate("metrics=[clip_score]", f"clip_score.model={write_clip(tmp_path / 'clip')}")
    assert ended.code == 0, ended.err
    (result,) = read_results(tmp_path / "out" / "results.json")
    assert result.notes == ("3 of 4 prompts cut at 77 tokens",)
    assert result.weights == {"ctvit": "a" * 64}
    assert "large effusion" not in ended.out + json.dumps(result.to_json())


def test_a_table_of_prompts_serves_as_well(evaluate, folders, tmp_path):
    _, fake = folders
    for path in fake.glob("*.json"):
        path.unlink()
    rows = [f"v{index}.nii.gz,report {index}" for index in range(4)]
    (fake / "prompts.csv").write_text("\n".join(["volume,text", *rows]))
    ended = evaluate("metrics=[clip_score]", f"clip_score.model={write_clip(tmp_path / 'clip')}")
    assert ended.code == 0, ended.err


def test_real_volumes_are_resampled_in_millimetres_where_asked(evaluate, refused, folders, tmp_path):
    real, fake = folders
    for index in range(4):  # the same field of view on a grid twice as fine
        voxels = noise(index, 20, 16, 16).repeat(2, 0).repeat(2, 1).repeat(2, 2)
        write_volume(real / f"v{index}.nii.gz", voxels, spacing=(1.5, 1.0, 1.0))
        nearly = noise(index, 20, 16, 16) + (np.arange(20) % 2)[:, None, None]
        write_volume(fake / f"v{index}.nii.gz", nearly, f"report {index}")
    refused("add grid=fake")
    ended = evaluate("grid=fake", "metrics=[psnr,fid,hu_histogram]")
    assert ended.code == 0, ended.err
    results = {result.metric: result for result in read_results(tmp_path / "out" / "results.json")}
    assert results["psnr"].value > 60
    assert results["hu_histogram"].value < 1
    assert results["fid"].protocol["grid"] == {
        "rule": "fake",
        "shape_zyx": [20, 16, 16],
        "spacing_mm_zyx": [3.0, 2.0, 2.0],
    }


def test_folders_that_cannot_be_compared(refused, folders, tmp_path):
    real, fake = folders
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(real)
    shutil.copytree(real, tmp_path / "copy")
    refused("no such folder", f"fake={tmp_path / 'absent'}")
    refused("no .nii.gz, .nii or .npz in this folder", f"real={tmp_path / 'empty'}")
    refused("are one folder", f"fake={real}")
    refused("are one folder", f"fake={tmp_path / 'link'}")
    refused("4 volumes of the same content in both", f"fake={tmp_path / 'copy'}")
    shutil.copy(real / "v0.nii.gz", fake / "v9.nii.gz")
    refused("1 volume of the same content in both")


def test_real_volumes_that_pass_for_generated_ones_are_found_however_they_are_stored(refused, folders):
    """Uncompressed; in another type, under another name, at another place, and upside down."""
    real, fake = folders
    second = nib.load(real / "v1.nii.gz")
    turn = np.diag([1.0, 1.0, -1.0, 1.0])
    turn[2, 3] = 19
    affine = second.affine @ turn
    affine[:3, 3] += 5
    turned = nib.Nifti1Image(np.flip(second.get_fdata(), 2).astype(np.float32), affine)
    turned.header.set_xyzt_units("mm")
    nib.save(turned, fake / "turned.nii.gz")
    refused("1 volume of the same content in both, first turned of fake, which is v1 of real", QUICKEST, "grid=fake")
    (fake / "plain.nii").write_bytes(gzip.decompress((real / "v0.nii.gz").read_bytes()))
    for _ in range(2):  # from the volumes, then from what was kept of them
        refused("2 volumes of the same content in both, first plain of fake, which is v0 of real", QUICKEST)


def test_a_volume_that_is_there_twice_is_said(evaluate, folders, tmp_path):
    _, fake = folders
    (fake / "again.nii").write_bytes(gzip.decompress((fake / "v3.nii.gz").read_bytes()))
    assert evaluate(QUICKEST).code == 0
    (result,) = read_results(tmp_path / "out" / "results.json")
    assert "1 of 5 generated volumes hold the voxels of another one and count again" in result.notes
    assert not [note for note in result.notes if "real volumes hold" in note]


def test_volumes_that_cannot_be_used(refused, folders):
    real, fake = folders
    write_volume(fake / "v1.nii.gz", noise(5, 20, 16, 16), "report", spacing=(3.0, 2.0, 2.1))
    refused("v1.nii.gz: 20 × 16 × 16 voxels of 3 × 2 × 2.1 mm")
    write_volume(fake / "v1.nii.gz", noise(5, 19, 16, 16), "report")
    refused("v1.nii.gz: 19 × 16 × 16 voxels")
    refused("v1.nii.gz: 19 × 16 × 16 voxels", "grid=fake")
    write_volume(fake / "v1.nii.gz", noise(5, 20, 16, 16), "report")
    voxels = noise(6, 16, 16, 20).astype(np.float32)
    voxels[3, 4, 5] = np.nan
    for name in ("v2", "v3"):
        image = nib.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0]))
        image.header.set_xyzt_units("mm")
        image.header.set_sform(image.affine, code=1)
        nib.save(image, real / f"{name}.nii.gz")
    refused("2 of 8 volumes cannot be used")
    refused("NaN")
    (real / "v2.nii.gz").write_bytes(b"hello")
    refused("1 of 4 volumes cannot be used")
    refused("v2.nii.gz")


def test_too_few_volumes_name_the_smallest_number(refused, folders):
    real, fake = folders
    (real / "v3.nii.gz").unlink()
    (real / "v3.json").unlink()
    refused("3 volumes; the floor compares halves of the real volumes and needs at least 4")
    for index in (1, 2, 3):
        (fake / f"v{index}.nii.gz").unlink()
        (fake / f"v{index}.json").unlink()
    refused("1 volume; fid needs at least 2 on each side", "evaluation.floor_splits=0")
    refused("clip_score needs at least 2 volumes", "metrics=[clip_score]", "clip_score.model=unused")


def test_clips_longer_than_the_volumes(refused):
    refused("have 21 slices or more", "metrics=[fvd]", "evaluation.clip_length=21")


def test_prompts_and_partners_that_are_missing(refused, folders, tmp_path):
    real, fake = folders
    clip = f"clip_score.model={write_clip(tmp_path / 'clip')}"
    refused("clip_score.model: none given", "metrics=[clip_score]")
    (fake / "v1.json").write_text("{}")
    refused("1 of 4 volumes have no prompt (v1)", "metrics=[clip_score]", clip)
    (fake / "v1.nii.gz").rename(fake / "w1.nii.gz")
    refused("1 of 4 volumes have no real one of their name (w1)", "metrics=[psnr]")
    (fake / "v7.json").write_text('{"prompt": "secret"}')
    refused("v7.json: describes a volume that is not there")
    (fake / "v7.json").unlink()
    (real / "reports.csv").write_text("volume,text\nv0.nii.gz,secret\nv8.nii.gz,secret\n")
    refused("reports.csv row 2: a prompt for v8, of which there is no volume")
    shutil.move(fake / "w1.nii.gz", fake / "v1.nii.gz")
    for path in fake.glob("*.json"):
        path.unlink()
    (real / "reports.csv").unlink()
    (fake / "table.csv").write_text("volume,text\nv0,nan\nv1,Not given.\nv2,secret\nv3.nii.gz,secret\n")
    refused("2 of 4 volumes have no prompt (v0, v1)", "metrics=[clip_score]", clip)
    (real / "reports.csv").write_text("file,words\nv0.nii.gz,secret\n")
    refused("no columns 'volume' and 'text' among file, words")


def test_volumes_of_two_models(refused, folders):
    _, fake = folders
    for index, digit in enumerate("aab"):
        content = {"prompt": "x", "weights_sha256": {"ctvit": digit * 64}}
        (fake / f"v{index}.json").write_text(json.dumps(content))
    refused("v0 and v2 were made by different weights")


def test_settings_that_no_evaluation_has(refused):
    refused("metrics=fiid: no such metric", "metrics=[fiid]")
    refused("each once", "metrics=[fid,fid]")
    refused("expected one or more", "metrics=[]")
    refused("grid=two: expected one of one, fake, any", "grid=two")
    refused("no such setting, did you mean 'sha256'", "+fid.sha25=x")
    refused("evaluation.clip_length=0", "evaluation.clip_length=0")
    refused("no such file", "fid.detector=/no/such/file.pt", "fid.sha256=" + "0" * 64)


def test_preset_is_short_for_the_group(tmp_path, folders, monkeypatch, capsys):
    real, fake = folders
    words = (f"real={real}", f"fake={fake}", f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}")
    monkeypatch.setattr(sys, "argv", ["evaluate", "preset=stylegan_v", "metrics=[hu_histogram]", *words])
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    main()
    assert read_results(tmp_path / "out" / "results.json")[0].preset == "stylegan_v"
    assert "preset stylegan_v" in capsys.readouterr().out
