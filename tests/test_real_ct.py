"""Real chest CT with real reports through the commands: three stages in turn, a reconstruction that overlays."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SCANS = ("chest_a.nii.gz", "chest_b.nii.gz")


@pytest.fixture(scope="module")
def table(real_ct_dir: Path, tmp_path_factory) -> Path:
    """Both scans paired with the first reports of the table. The pairing means nothing: it exercises the code."""
    with open(real_ct_dir / "reports_train.csv", encoding="utf-8-sig", newline="") as file:
        reports = [row["report_text"] for _, row in zip(SCANS, csv.DictReader(file), strict=False)]
    path = tmp_path_factory.mktemp("real") / "reports.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "patient", "text"])
        writer.writerows((scan, scan[:7], report) for scan, report in zip(SCANS, reports, strict=True))
    return path


@pytest.fixture(scope="module")
def trained(command, real_ct_dir: Path, table: Path, tmp_path_factory) -> Path:
    """Folder of all three stages trained on the two scans: the tokenizer until it knows them by heart."""
    folder = tmp_path_factory.mktemp("trained")
    source = (f"data.root={real_ct_dir}", f"data.table={table}", f"cache_dir={folder / 'cache'}")
    ended = command("train", "experiments=real/overfit", "steps=450", f"output={folder / 'ctvit'}", *source)
    assert ended.code == 0, ended.err
    for stage in ("transformer", "superres"):
        ended = command(
            "train",
            f"stage={stage}",
            "data=folder",
            f"tokenizer={folder}",
            "steps=4",
            "stage.datamodule.batch_size=2",
            "stage.datamodule.val_fraction=0.0",
            f"output={folder / stage}",
            *source,
        )
        assert ended.code == 0, ended.err
    return folder


def test_tokenizer_overfits_and_the_reconstruction_overlays(command, trained: Path, real_ct_dir: Path, tmp_path: Path):
    ended = command("reconstruct", f"input={real_ct_dir}/chest_a.nii.gz", f"weights={trained}", f"output={tmp_path}")
    assert ended.code == 0, ended.err
    original, result = nib.load(real_ct_dir / "chest_a.nii.gz"), nib.load(tmp_path / "chest_a.nii.gz")
    assert result.shape == original.shape
    assert np.allclose(result.affine, original.affine, atol=1e-4)
    assert nib.aff2axcodes(result.affine) == nib.aff2axcodes(original.affine)
    scores = json.loads((tmp_path / "chest_a.json").read_text())
    assert scores["grid_psnr_db"] >= 30

    before, after = np.asarray(original.dataobj, dtype=np.float32), np.asarray(result.dataobj, dtype=np.float32)
    # It overlays: no shift by 9 mm and no mirroring matches better. Detail is the grid's: 15 mm slices of 4 mm pixels.
    in_place = _correlation(before, after)
    assert in_place > 0.85
    for axis in range(3):
        assert in_place > _correlation(np.flip(before, axis), after)
        assert in_place > max(_correlation(np.roll(before, shift, axis), after) for shift in (-6, 6))
    for low, high, tolerance in ((-950, -800, 120), (0, 80, 60)):  # lung, soft tissue
        inside = (before > low) & (before < high)
        assert abs(np.median(after[inside]) - np.median(before[inside])) < tolerance, (low, high)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def test_air_stays_air(command, trained: Path, real_ct_dir: Path, tmp_path: Path):
    """The crops are all body; padded with air, the pad comes back as air."""
    original = nib.load(real_ct_dir / "chest_a.nii.gz")
    voxels = np.pad(np.asarray(original.dataobj, dtype=np.int16), 20, constant_values=-1000)
    affine = original.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, 20.0)
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "padded.nii.gz")
    ended = command("reconstruct", f"input={tmp_path}/padded.nii.gz", f"weights={trained}", f"output={tmp_path}/out")
    assert ended.code == 0, ended.err
    result = np.asarray(nib.load(tmp_path / "out" / "padded.nii.gz").dataobj, dtype=np.float32)
    rim = np.ones(result.shape, dtype=bool)
    rim[10:-10, 10:-10, 10:-10] = False
    assert abs(np.median(result[rim]) + 1000) < 50


def test_a_report_becomes_a_ct(command, trained: Path, tmp_path: Path):
    ended = command("generate", "prompt=No pleural effusion.", f"weights={trained}", f"output={tmp_path}")
    assert ended.code == 0, ended.err
    volume = nib.load(tmp_path / "generated.nii.gz")
    assert volume.shape == (192, 192, 17)
    assert np.allclose(volume.header.get_zooms(), (1.0, 1.0, 252 / 17), atol=1e-3)
