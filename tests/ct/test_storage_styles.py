"""One patient, stored in every order of axes and every style of scaling: one and the same CT."""

from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.grid import affine_of
from generatect.ct.hounsfield import Scaling
from generatect.ct.nifti import read_nifti_with_layout, write_nifti
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume

IDENTITY, RESCALE = Scaling(1.0, 0.0), Scaling(1.0, -1024.0)
SHAPE_ZYX = (14, 20, 26)
SPACING_ZYX = (2.5, 0.9, 0.7)
CENTRE_MM = np.array([11.0, -47.5, 310.0])
AXIS_CODES = ["".join(codes) for ends in product("LR", "AP", "SI") for codes in permutations(ends)]
"""RAS, LPS, SRA …: all 48."""


@dataclass(frozen=True)
class Style:
    """A way to keep HU in a file.

    Attributes:
        scaling: stored value → HU.
        header: what the header states of it.
        metadata: what a table states of it.
        padding: stored value outside the field of view.
        policy: what a reader must find.
    """

    scaling: Scaling
    header: Scaling | None = None
    metadata: Scaling | None = None
    padding: int | None = None
    policy: str = "header"


STYLES = {
    "plain": Style(RESCALE, metadata=RESCALE, policy="metadata"),
    "fixed": Style(IDENTITY, metadata=RESCALE),
    "header": Style(RESCALE, header=RESCALE),
    "half": Style(Scaling(0.5, 0.0), header=Scaling(0.5, 0.0)),
    "fraction": Style(Scaling(1.0, -1024.5), header=Scaling(1.0, -1024.5)),
    "padded": Style(IDENTITY, metadata=RESCALE, padding=-8192),
}
TWICE = {  # HU that a reader without judgement would scale again
    "by header": Style(IDENTITY, header=RESCALE, policy="already_hu"),
    "by both": Style(IDENTITY, header=RESCALE, metadata=RESCALE, policy="already_hu"),
    "padded": Style(IDENTITY, header=RESCALE, padding=-8192, policy="already_hu"),
}


@pytest.fixture(scope="module")
def patient() -> CTVolume:
    """Water in air, with three voxels that tell left from right, front from back and up from down; tilted by 5°."""
    turn = np.deg2rad(5)
    tilt = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE_ZYX), indexing="ij")
    voxels = np.where(z**2 / 2 + y**2 / 0.5 + x**2 / 0.6 < 1, 0, -1000).astype(np.int16)
    voxels[3, 8, 18], voxels[9, 12, 9], voxels[6, 6, 12] = 1000, 700, 400
    return CTVolume(voxels, affine_of(SHAPE_ZYX, SPACING_ZYX, tilt @ CANONICAL_DIRECTIONS_RAS, CENTRE_MM))


def outside_view() -> np.ndarray:
    """Where a scanner has no data: beyond a circle in every slice."""
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE_ZYX), indexing="ij")
    return y**2 + x**2 > 1


def save(path: Path, patient: CTVolume, codes: str, style: Style) -> Path:
    """Store the patient by nibabel's own notion of axes; its header and the array's bytes are put together here."""
    stored = (patient.voxels_hu - style.scaling.intercept) / style.scaling.slope
    if style.padding is not None:
        stored = np.where(outside_view(), style.padding, stored)
    canonical = nib.orientations.axcodes2ornt(nib.aff2axcodes(patient.affine))
    way = nib.orientations.ornt_transform(canonical, nib.orientations.axcodes2ornt(tuple(codes)))
    stored = nib.orientations.apply_orientation(stored, way)
    affine = patient.affine @ nib.orientations.inv_ornt_aff(way, patient.shape_zyx)
    assert nib.aff2axcodes(affine) == tuple(codes)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(stored.shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    if style.header is not None:
        header["scl_slope"], header["scl_inter"] = style.header.slope, style.header.intercept
    header["magic"], header["vox_offset"] = b"n+1", 352
    path.write_bytes(header.binaryblock + bytes(4) + np.rint(stored).astype(np.int16).tobytes(order="F"))
    return path


def test_there_are_48_codes():
    assert len(set(AXIS_CODES)) == 48


@pytest.mark.parametrize("style", [pytest.param(style, id=name) for name, style in STYLES.items()])
def test_every_order_of_axes_in_every_style_is_the_same_patient(patient, style, tmp_path):
    whole = (style.scaling.slope, style.scaling.intercept % 1) == (1, 0)
    first = None
    for codes in AXIS_CODES:
        path = save(tmp_path / f"{codes}.nii", patient, codes, style)
        read, layout = read_nifti_with_layout(path, metadata=style.metadata)
        assert (layout.hu.policy, layout.hu.slope) == (style.policy, style.scaling.slope)
        assert read.voxels_hu.dtype == (np.int16 if whole else np.float32)
        np.testing.assert_allclose(read.affine, patient.affine, atol=1e-4)
        first = read.voxels_hu if first is None else first
        np.testing.assert_array_equal(read.voxels_hu, first)
    seen = ~outside_view() if style.padding is not None else np.ones(SHAPE_ZYX, bool)
    for hu in (0, -1000):  # water and air
        np.testing.assert_allclose(first[seen & (patient.voxels_hu == hu)], hu, atol=1)
    np.testing.assert_allclose(first[seen], patient.voxels_hu[seen], atol=0.5)


@pytest.mark.parametrize("style", [pytest.param(style, id=name) for name, style in TWICE.items()])
def test_hu_that_would_be_scaled_again_stay_hu(patient, style, tmp_path):
    read, layout = read_nifti_with_layout(save(tmp_path / "a.nii", patient, "LPS", style), metadata=style.metadata)
    assert layout.hu.policy == "already_hu"
    seen = ~outside_view()
    np.testing.assert_array_equal(read.voxels_hu[seen], patient.voxels_hu[seen])


def test_a_written_marker_is_where_it_was_in_the_world(patient, tmp_path):
    """Found by nibabel alone, in volumes given back in the order of axes in which they came."""
    markers = {hu: (patient.affine @ [*np.argwhere(patient.voxels_hu == hu)[0], 1])[:3] for hu in (1000, 700, 400)}
    for codes in AXIS_CODES:
        for keep_layout in (True, False):
            read, layout = read_nifti_with_layout(save(tmp_path / "in.nii", patient, codes, STYLES["fixed"]))
            write_nifti(tmp_path / "out.nii.gz", read, layout if keep_layout else None)
            image = nib.load(tmp_path / "out.nii.gz")
            assert nib.aff2axcodes(image.affine) == (tuple(codes) if keep_layout else ("L", "P", "S"))
            for hu, world_mm in markers.items():
                index = np.argwhere(np.asarray(image.dataobj) == hu)
                assert len(index) == 1
                off = np.linalg.solve(image.affine, [*world_mm, 1])[:3] - index[0]
                assert np.abs(off).max() < 0.5
