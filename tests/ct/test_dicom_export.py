"""A synthetic volume as DICOM: our own reader gets back its voxels and its place, and every file says what it is."""

import numpy as np
import pydicom
import pytest

from generatect.ct.dicom import read_series
from generatect.ct.dicom_export import write_series
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume
from generatect.errors import InputError


def oblique() -> CTVolume:
    """Nine slices of 7 × 5 unequal voxels, turned by a few degrees about two axes."""
    voxels = np.random.default_rng(0).integers(-1000, 1500, (9, 7, 5)).astype(np.int16)
    a, b = np.radians((4.0, -3.0))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ CANONICAL_DIRECTIONS_RAS @ np.diag([2.5, 0.8, 1.1])
    affine[:3, 3] = (31.5, -12.25, 104.0)
    return CTVolume(voxels, affine)


def test_what_is_read_is_what_was_written(tmp_path):
    volume = oblique()
    write_series(tmp_path / "series", volume, identity="abc", description="generatect")
    again = read_series(tmp_path / "series")
    np.testing.assert_array_equal(again.voxels_hu, volume.voxels_hu)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-5)


def test_every_file_says_that_it_is_synthetic(tmp_path):
    for path in write_series(tmp_path, oblique(), identity="abc", description="generatect"):
        header = pydicom.dcmread(path)
        assert header.ImageType[0] == "DERIVED"
        assert "SYNTHETIC" in header.SeriesDescription
        assert "SYNTHETIC" in str(header.PatientName)
        assert header.PatientID.startswith("SYNTHETIC")
        assert not header.StudyDate


def test_the_same_volume_has_the_same_identifiers_and_another_has_others(tmp_path):
    first, again, other = (
        [path.read_bytes() for path in write_series(tmp_path / name, oblique(), identity=identity, description="x")]
        for name, identity in (("a", "abc"), ("b", "abc"), ("c", "abd"))
    )
    assert first == again
    uids = {pydicom.dcmread(path).SOPInstanceUID for name in ("a", "c") for path in sorted((tmp_path / name).iterdir())}
    assert len(uids) == 2 * len(first)
    assert first != other


def test_voxels_that_sixteen_bits_cannot_hold_are_refused(tmp_path):
    voxels = np.full((3, 4, 4), np.nan, np.float32)
    with pytest.raises(InputError, match="16 bits"):
        write_series(tmp_path, CTVolume(voxels, oblique().affine), identity="abc", description="x")
    assert not list(tmp_path.iterdir())
