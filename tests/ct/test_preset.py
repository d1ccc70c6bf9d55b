"""Presets: the released array to the digit, and the way back to the patient."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from generatect.ct.intensity import WINDOWS, hu_to_model, hu_to_unit, model_to_hu, unit_to_hu, window
from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.preset import PhysicalPreset, ReleasedPreset
from generatect.ct.released import released_preprocess, stretch
from generatect.ct.volume import CTVolume
from generatect.errors import InputError


@pytest.fixture
def chest(real_ct_dir) -> CTVolume:
    volume = read_nifti(real_ct_dir / "chest_a.nii.gz")
    return CTVolume(volume.voxels_hu.clip(-1000, 1000), volume.affine)


def test_intensities_are_inverse_and_clipped():
    hu = np.array([-3000, -1000, -500, 0, 1000, 3000], np.int16)
    model = hu_to_model(hu)
    assert model.dtype == np.float32
    np.testing.assert_allclose(model, [-1, -1, -0.5, 0, 1, 1])
    np.testing.assert_allclose(model_to_hu(model), hu.clip(-1000, 1000))
    np.testing.assert_allclose(unit_to_hu(hu_to_unit(hu)), hu.clip(-1000, 1000), atol=1e-4)
    torch.testing.assert_close(hu_to_model(torch.from_numpy(hu)), torch.from_numpy(model))
    assert hu_to_model(torch.from_numpy(hu)).dtype == torch.float32
    np.testing.assert_allclose(window(np.array([-160.0, 40.0, 240.0, 900.0]), *WINDOWS["mediastinum"]), [0, 0.5, 1, 1])


def test_released_preprocessing_matches_the_original(fixtures_dir, load_recording, assert_relative):
    recording = load_recording("preprocessing")
    for name in recording.tensors:
        actual = released_preprocess(fixtures_dir / "preprocessing" / f"{name}.nii.gz")
        assert actual.shape == (1, 201, 128, 128)
        assert_relative(actual[:, ::20], recording.expected(name))


@pytest.fixture
def scan_in_hu(fixtures_dir, tmp_path) -> Path:
    """Scan `a` of the recordings, which is stored as HU + 1024, as HU with a true affine."""
    stored = read_nifti(fixtures_dir / "preprocessing" / "a.nii.gz", hu_policy="unchecked")
    path = tmp_path / "hu.nii.gz"
    write_nifti(path, CTVolume((stored.voxels_hu.astype(np.int32) - 1024).astype(np.int16), stored.affine))
    return path


def test_released_preset_of_a_file_in_hu_matches_the_original(scan_in_hu, load_recording, assert_relative):
    """The same scan, once as the release stores it and once as HU with a true affine."""
    actual = ReleasedPreset().to_model(read_nifti(scan_in_hu))
    assert_relative(actual[:, ::20], load_recording("preprocessing").expected("a"))


def mean_hu(difference: torch.Tensor) -> float:
    """Mean absolute difference of two arrays in [-1, 1], in HU."""
    return difference.abs().mean().item() * 1000


def test_what_the_original_does_to_intensities_costs_hu(fixtures_dir, scan_in_hu, load_recording, record_effect):
    expected = load_recording("preprocessing").tensors
    folder = fixtures_dir / "preprocessing"
    metadata = {name: json.loads((folder / f"{name}_metadata.json").read_text()) for name in expected}

    twice = released_preprocess(scan_in_hu, metadata["a"])[:, ::20]
    error = mean_hu(twice - expected["a"])
    record_effect("slope and intercept applied twice", "preprocessing a: mean error", f"{error:.0f} HU")
    soft_tissue = (expected["a"] > 0) & (expected["a"] < 0.08)
    assert twice[soft_tissue].median() < -0.9  # reads as air

    intercept = float(metadata["c"]["RescaleIntercept"])
    stored = np.asarray(nib.load(folder / "c.nii.gz").dataobj, dtype=np.float32)
    exact = stretch(stored * float(metadata["c"]["RescaleSlope"]) + intercept, 201, 128)
    error = (exact[:, ::20] - expected["c"]).abs().max().item() * 1000
    record_effect("intercept cut to an integer", f"preprocessing c ({intercept}): largest error", f"{error:.2f} HU")
    assert error == pytest.approx(abs(intercept - int(intercept)), abs=1e-3)


def test_what_the_original_does_to_axes_moves_anatomy(fixtures_dir, load_recording, record_effect):
    expected = load_recording("preprocessing").tensors
    path = fixtures_dir / "preprocessing" / "b.nii.gz"
    metadata = json.loads(path.with_name("b_metadata.json").read_text())
    as_stored = released_preprocess(path, metadata | {"Manufacturer": ""})
    error = mean_hu(as_stored[:, ::20] - expected["b"])
    record_effect("PNMS scans reversed", "preprocessing b: mean difference if not", f"{error:.0f} HU")
    torch.testing.assert_close(as_stored.flip(1)[:, ::20], expected["b"], atol=1e-4, rtol=0)
    error = mean_hu(expected["a"].transpose(2, 3) - expected["a"])
    record_effect("first axis taken for rows", "preprocessing a: mean difference if columns", f"{error:.0f} HU")
    assert error > 50


def test_the_stretch_gives_every_scan_another_spacing(real_ct_dir, record_effect):
    """The model's voxel is nominally 1.5 × 3 × 3 mm; the original's output says 1 × 1 × 1 mm."""
    preset, actual = ReleasedPreset(), {}
    for name in ("chest_a", "chest_b"):
        scan = read_nifti(real_ct_dir / f"{name}.nii.gz")
        stretched = zip(scan.shape_zyx, scan.spacing_mm_zyx, preset.grid.shape_zyx, strict=True)
        actual[name] = [count * mm / cells for count, mm, cells in stretched]
        z, y, x = actual[name]
        record_effect("stretch to 201 × 128 × 128", f"{name}: true spacing z, y, x", f"{z:.2f}, {y:.2f}, {x:.2f} mm")
        error = abs(z * preset.grid.shape_zyx[0] - preset.grid.shape_zyx[0])
        record_effect("identity affine", f"{name}: error of its height at 1 mm a slice", f"{error:.0f} mm")
        assert error > 30
    assert abs(actual["chest_a"][0] - actual["chest_b"][0]) > 0.1


def test_released_metadata_errors_are_one_line(fixtures_dir, tmp_path):
    source = fixtures_dir / "preprocessing" / "a.nii.gz"
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match=r"scan_metadata\.json"):
        released_preprocess(path)
    (tmp_path / "scan_metadata.json").write_text(json.dumps({"RescaleSlope": "one"}))
    with pytest.raises(InputError, match="RescaleSlope='one'"):
        released_preprocess(path)
    (tmp_path / "scan_metadata.json").write_text("[]")
    with pytest.raises(InputError, match="JSON object"):
        released_preprocess(path)


def test_released_stretch_comes_back_to_the_scan(chest):
    preset = ReleasedPreset()
    back = preset.to_volume(preset.to_model(chest), reference=chest)
    np.testing.assert_array_equal(back.affine, chest.affine)
    assert back.shape_zyx == chest.shape_zyx
    error = np.abs(back.voxels_hu - chest.voxels_hu).mean()
    mirrored = [np.abs(np.flip(back.voxels_hu, axis) - chest.voxels_hu).mean() for axis in range(3)]
    assert error < 40 < 4 * error < min(mirrored)  # what is lost is fine texture; nothing is turned or mirrored


@pytest.mark.parametrize("upscaled", [False, True])
def test_physical_preset_comes_back_to_the_scan(chest, upscaled):
    z, y, x = (count * mm for count, mm in zip(chest.shape_zyx, chest.spacing_mm_zyx, strict=True))
    preset = PhysicalPreset(num_slices=112, size=64, upscaled_size=128, fov_mm_zyx=[z, y, x])
    array = preset.to_model(chest, upscaled=upscaled)
    assert array.dtype == torch.float32
    assert array.shape == (1, 112, 128, 128) if upscaled else (1, 112, 64, 64)
    assert array.abs().max() <= 1
    back = preset.to_volume(array, reference=chest, upscaled=upscaled)
    np.testing.assert_array_equal(back.affine, chest.affine)
    assert np.abs(back.voxels_hu - chest.voxels_hu).mean() < (30 if upscaled else 80)


def test_physical_preset_clips_before_it_averages():
    voxels = np.full((4, 4, 4), -3000, np.int16)
    voxels[:, :, 1::2] = 0
    volume = CTVolume(voxels, np.diag([1.0, 1.0, 1.0, 1.0]))
    preset = PhysicalPreset(num_slices=2, size=2, upscaled_size=4, fov_mm_zyx=(4.0, 4.0, 4.0))
    torch.testing.assert_close(preset.to_model(volume), torch.full((1, 2, 2, 2), -0.5))


@pytest.mark.parametrize("preset", [PhysicalPreset(num_slices=17, size=48, upscaled_size=96), ReleasedPreset()])
def test_without_reference_the_grid_lies_centred_on_the_world(preset):
    array = torch.linspace(-1, 1, preset.grid.num_voxels).reshape(1, *preset.grid.shape_zyx)
    volume = preset.to_volume(array)
    np.testing.assert_allclose(volume.affine, preset.grid.affine())
    assert volume.voxels_hu.dtype == np.float32
    assert (volume.voxels_hu.min(), volume.voxels_hu.max()) == (-1000, 1000)
    assert preset.grid.fov_mm_zyx == pytest.approx((301.5, 384, 384))
    with pytest.raises(InputError, match="does not fit"):
        preset.to_volume(array[:, 1:])
