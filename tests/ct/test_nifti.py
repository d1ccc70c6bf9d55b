"""Reading and writing NIfTI: the same patient whatever the storage, and one line for whatever is wrong."""

import gzip
import os
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.nifti import read_header, read_nifti, read_nifti_with_layout, write_nifti
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume
from generatect.errors import InputError

SPACING_ZYX = np.array([2.5, 0.8, 0.7])
SECRET = "JANE DOE 1956"


def rotation(degrees: float) -> np.ndarray:
    """Rotation round an axis of no symmetry."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def asymmetric_volume(degrees: float = 7.0) -> CTVolume:
    """Every voxel different, every axis of another length and spacing, tilted."""
    voxels = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) * 7 - 900
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ CANONICAL_DIRECTIONS_RAS * SPACING_ZYX
    affine[:3, 3] = 12.5, -80.25, 301.0
    return CTVolume(voxels, affine)


@pytest.fixture
def volume() -> CTVolume:
    return asymmetric_volume()


@pytest.fixture
def save(tmp_path):
    """Write an array with nibabel, an independent writer."""

    def write(array, affine=None, name="scan.nii.gz", kind=nib.Nifti1Image, **header):
        image = kind(array, np.diag([-1.0, -1.0, 2.0, 1.0]) if affine is None else affine)
        image.header["descrip"] = SECRET.encode()
        for key, value in header.items():
            image.header[key] = value
        path = tmp_path / name
        nib.save(image, path)
        return path

    return write


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, (8, 9, 10)).astype(np.int16)


def refusal(path, **options) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(InputError) as caught:
        read_nifti(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert SECRET not in message
    return message


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_every_one_of_48_storage_orders_reads_to_the_same_volume(volume, save, order, flips):
    array, index = volume.voxels_hu, np.zeros((4, 4))
    index[3, 3] = 1
    for stored, axis in enumerate(order):  # stored index → canonical index
        index[axis, stored] = -1 if flips[stored] else 1
        index[axis, 3] = array.shape[axis] - 1 if flips[stored] else 0
    stored = array.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    path = save(np.ascontiguousarray(stored), volume.affine @ index)
    read, layout = read_nifti_with_layout(path)
    assert read.voxels_hu.dtype == np.int16
    np.testing.assert_array_equal(read.voxels_hu, volume.voxels_hu)
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-4)
    np.testing.assert_array_equal(layout.to_stored(read.voxels_hu), stored)

    out = path.with_name("out.nii.gz")
    write_nifti(out, read, layout)
    mine, original = nib.load(out), nib.load(path)
    np.testing.assert_array_equal(np.asarray(mine.dataobj), stored)
    np.testing.assert_array_equal(mine.affine, original.affine)


def test_write_then_read_is_identity_and_nibabel_agrees(volume, tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_nifti(path, volume, description="SYNTHETIC")
    read = read_nifti(path)
    np.testing.assert_array_equal(read.voxels_hu, volume.voxels_hu)
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-4)
    image = nib.load(path)
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
    assert image.get_data_dtype() == np.int16
    assert image.header.get_slope_inter() in ((1.0, 0.0), (None, None))
    assert image.header.get_xyzt_units()[0] == "mm"
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    assert image.header["descrip"].item() == b"SYNTHETIC"


def test_uncompressed_and_nifti2_read_the_same(noise, save):
    expected = read_nifti(save(noise)).voxels_hu
    np.testing.assert_array_equal(read_nifti(save(noise, name="scan.nii")).voxels_hu, expected)
    np.testing.assert_array_equal(read_nifti(save(noise, name="two.nii.gz", kind=nib.Nifti2Image)).voxels_hu, expected)


def test_big_endian_reads_the_same(noise, tmp_path, save):
    path = tmp_path / "big.nii"
    image = nib.Nifti1Image(noise, np.diag([-1.0, -1.0, 2.0, 1.0]), nib.Nifti1Header(endianness=">"))
    nib.save(image, path)
    assert path.read_bytes()[:4] == (348).to_bytes(4, "big")
    np.testing.assert_array_equal(read_nifti(path).voxels_hu, read_nifti(save(noise)).voxels_hu)


def test_header_scaling_gives_float32_hu(noise, tmp_path):
    path = tmp_path / "scaled.nii.gz"
    image = nib.Nifti1Image(noise * 2, np.diag([-1.0, -1.0, 2.0, 1.0]))
    image.header.set_slope_inter(0.5, -24.25)  # nibabel stores the values as given, and scales them when it reads
    nib.save(image, path)
    read = read_nifti(path).voxels_hu
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, np.asarray(nib.load(path).dataobj).transpose(2, 1, 0), atol=1e-3)


def test_sform_comes_before_qform_and_qform_serves_alone(noise, tmp_path):
    path = tmp_path / "forms.nii.gz"
    image = nib.Nifti1Image(noise, None)
    image.set_qform(np.diag([-1.5, -1.5, 3.0, 1.0]), code=1)
    nib.save(image, path)
    assert read_nifti(path).spacing_mm_zyx == (3.0, 1.5, 1.5)
    image.set_sform(np.diag([-0.75, -0.75, 2.0, 1.0]), code=2)
    nib.save(image, path)
    assert read_nifti(path).spacing_mm_zyx == (2.0, 0.75, 0.75)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, path)
    assert "neither sform nor qform" in refusal(path)


def test_the_header_alone_gives_the_grid(noise, tmp_path, save):
    path = save(noise)
    grid, (_, layout) = read_header(path), read_nifti_with_layout(path)
    assert (grid.shape, grid.dtype, grid.offset) == (noise.shape, np.int16, 352)
    assert (grid.slope, grid.intercept) == (1, 0)
    np.testing.assert_array_equal(grid.affine, layout.affine)
    whole = save(np.random.default_rng(0).integers(-1000, 1000, (64, 64, 64)).astype(np.int16)).read_bytes()
    path.write_bytes(whole[:-8] + bytes(8))  # a wrong checksum, at the end of what is not read
    assert read_header(path).shape == (64, 64, 64)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL", "IRA"])
def test_axes_are_assumed_only_where_told_and_unset(noise, tmp_path, codes):
    image = nib.Nifti1Image(noise, None)
    image.header.set_zooms((0.7, 0.8, 2.5))
    path = tmp_path / "unset.nii"
    nib.save(image, path)
    assert "assume_axes" in refusal(path)
    volume, layout = read_nifti_with_layout(path, assume_axes=codes)
    assert nib.aff2axcodes(layout.affine) == tuple(codes)
    np.testing.assert_allclose(np.linalg.norm(layout.affine[:3, :3], axis=0), (0.7, 0.8, 2.5), rtol=1e-6)
    np.testing.assert_array_equal(layout.to_stored(volume.voxels_hu), noise)
    told = read_nifti(path, assume_axes=codes, spacing_mm_zyx=(3.0, 2.0, 1.0))
    np.testing.assert_allclose(told.spacing_mm_zyx, (3, 2, 1))

    nib.save(nib.Nifti1Image(noise, np.diag([-1.0, 1.0, 1.0, 1.0])), path)
    assert nib.aff2axcodes(read_nifti_with_layout(path, assume_axes=codes)[1].affine) == ("L", "A", "S")
    for nonsense in ("LP", "LPSA", "LRS", "lps", ""):
        with pytest.raises(InputError, match="assume_axes"):
            read_nifti(path, assume_axes=nonsense)


def test_a_told_spacing_replaces_the_headers_and_nothing_else(volume, tmp_path):
    path, told = _written(tmp_path / "scan.nii.gz", volume), (3.0, 0.75, 0.5)
    read, layout = read_nifti_with_layout(path, spacing_mm_zyx=told)
    np.testing.assert_allclose(read.spacing_mm_zyx, told)
    np.testing.assert_allclose(read.directions, volume.directions, atol=1e-6)
    np.testing.assert_array_equal(read.voxels_hu, volume.voxels_hu)
    np.testing.assert_allclose(layout.affine[:3, 3], nib.load(path).affine[:3, 3])
    assert "spacing" in refusal(path, spacing_mm_zyx=(3.0, 0.75, 0.0))
    assert "spacing" in refusal(path, spacing_mm_zyx=(3.0, 0.75, float("nan")))


def rewritten(path, **fields):
    """The file with header fields changed in place, as damage or another program might."""
    content = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for key, value in fields.items():
        header[key] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


def test_two_forms_of_one_space_must_agree(volume, tmp_path):
    def path(**fields):
        return rewritten(_written(tmp_path / "scan.nii", volume), **fields)

    header = nib.load(path()).header
    x, pixdim = float(header["qoffset_x"]), header["pixdim"]
    assert "disagree: a corner" in refusal(path(qoffset_x=x + 0.1))
    assert "disagree: a corner" in refusal(path(quatern_b=float(header["quatern_b"]) + 0.01))
    assert "disagree: spacing" in refusal(path(pixdim=pixdim * [1, 1, 1.01, 1, 1, 1, 1, 1]))
    assert "disagree: a corner" in refusal(path(pixdim=pixdim * [-1, 1, 1, 1, 1, 1, 1, 1]))
    assert "not a rotation" in refusal(path(quatern_b=2))
    assert "not a rotation" in refusal(path(quatern_c=np.nan))
    assert "sform_code is -3" in refusal(path(sform_code=-3))
    for harmless in (
        {"qoffset_x": x + 1e-4},
        {"pixdim": pixdim * [1, 1, 1.0002, 1, 1, 1, 1, 1]},
        {"qoffset_x": x + 50, "sform_code": 4},  # an atlas's space beside the scanner's
        {"qoffset_x": x + 50, "qform_code": 0},
    ):
        np.testing.assert_allclose(read_nifti(path(**harmless)).affine, volume.affine, atol=1e-4)
    wrong = path(pixdim=pixdim * [1, 1, 1.5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(read_nifti(wrong, spacing_mm_zyx=(2.0, 1.0, 1.0)).spacing_mm_zyx, (2, 1, 1))


def sheared(volume: CTVolume, degrees: float, along: int, of: int) -> CTVolume:
    """The volume with one axis leaning towards another, as slices of a tilted gantry do; spacings stay."""
    affine = volume.affine.copy()
    directions = volume.directions
    lean = np.cos(np.deg2rad(degrees)) * directions[:, of] + np.sin(np.deg2rad(degrees)) * directions[:, along]
    affine[:3, of] = lean * volume.spacing_mm_zyx[of]
    return CTVolume(volume.voxels_hu, affine)


@pytest.mark.parametrize(("along", "of"), [(1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2)])
def test_a_sheared_scan_is_refused_by_header_and_voxels(volume, save, along, of):
    leaning = sheared(volume, 8, along, of)
    path = save(leaning.voxels_hu, leaning.affine)  # nibabel sets the sform alone
    assert "sheared by 8.0°" in refusal(path)
    assert "sheared by 8.0°" in refusal(path, spacing_mm_zyx=(3.0, 0.75, 0.5))
    with pytest.raises(InputError, match=r"sheared by 8\.0°"):
        read_header(path)


def test_a_straight_qform_beside_a_sheared_sform_is_named(volume, tmp_path):
    image = nib.Nifti1Image(volume.voxels_hu, None)
    image.set_qform(volume.affine, code=1)
    image.set_sform(sheared(volume, 8, 1, 0).affine, code=4)  # an atlas's space
    nib.save(image, tmp_path / "scan.nii")
    assert "set sform_code to 0" in refusal(tmp_path / "scan.nii")
    np.testing.assert_allclose(
        read_nifti(rewritten(tmp_path / "scan.nii", sform_code=0)).directions, volume.directions, atol=1e-6
    )


@pytest.mark.parametrize("degrees", [0, 1e-4, 0.003, 0.01, 0.1, 0.3, 0.49])
def test_forms_that_are_written_agree_and_lose_no_shear(volume, tmp_path, degrees):
    """A tilt too small to be refused, as of a DICOM series, and a qform that cannot hold it."""
    leaning = sheared(volume, degrees, 1, 0)
    path = _written(tmp_path / "scan.nii.gz", leaning)
    read, layout = read_nifti_with_layout(path)
    np.testing.assert_allclose(read.affine, leaning.affine, atol=1e-4)
    write_nifti(tmp_path / "again.nii.gz", read, layout)
    np.testing.assert_array_equal(read_nifti(tmp_path / "again.nii.gz").affine, read.affine)
    header = nib.load(path).header
    assert int(header["sform_code"]) == 1
    if header["qform_code"]:
        corner = np.array([*(size - 1 for size in header.get_data_shape()), 1])
        assert np.abs((header.get_qform() - header.get_sform()) @ corner).max() < 0.01
    else:
        assert degrees >= 0.003


def test_a_negative_pixdim_is_a_length_and_turns_nobody_round(volume, tmp_path):
    path = rewritten(_written(tmp_path / "scan.nii", volume), sform_code=0)
    expected = read_nifti(path)
    np.testing.assert_allclose(expected.affine, volume.affine, atol=1e-3)
    pixdim = nib.load(path).header["pixdim"]
    for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, -1, -1]):
        read = read_nifti(rewritten(path, pixdim=pixdim * [1, *signs, 1, 1, 1, 1]))
        np.testing.assert_array_equal(read.affine, expected.affine)
        np.testing.assert_array_equal(read.voxels_hu, expected.voxels_hu)
        told = read_nifti(rewritten(path, qform_code=0), assume_axes="LPS")
        assert sorted(told.spacing_mm_zyx) == pytest.approx(sorted(SPACING_ZYX))
        rewritten(path, qform_code=1, pixdim=pixdim)


@pytest.mark.parametrize("degrees", [0, 1e-3, 0.05, 0.3, 10, 90, 179.95, 180])
@pytest.mark.parametrize("about", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 2, 3)])
def test_rounding_of_a_sound_qform_is_no_disagreement(tmp_path, degrees, about):
    """A quaternion near a half turn, as of every scan stored as LPS, loses digits that the sform keeps."""
    axis, angle = np.array(about) / np.linalg.norm(about), np.deg2rad(degrees)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross) * [
        -0.683594,
        -0.683594,
        1,
    ]
    affine[:3, 3] = 173.7, 168.1, -1301.3
    noise = np.random.default_rng(0).integers(-1000, 1000, (90, 80, 70)).astype(np.int16)
    image = nib.Nifti1Image(noise, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    nib.save(image, tmp_path / "scan.nii")
    _, layout = read_nifti_with_layout(tmp_path / "scan.nii")
    np.testing.assert_allclose(layout.affine, affine, atol=1e-3)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bitpix": 8}, "8 bits"),
        ({"xyzt_units": 1}, "lengths are in metres"),
        ({"xyzt_units": 3}, "lengths are in micrometres"),
        ({"intent_code": 1002}, "intent code 1002"),
        ({"vox_offset": 352.5}, "byte 352.5"),
        ({"dim": [3, 7, 6, 5, 9, 1, 1, 1]}, "beyond its 3 axes"),
    ],
)
def test_fields_without_a_choice_are_checked(volume, tmp_path, fields, reason):
    assert reason in refusal(rewritten(_written(tmp_path / "scan.nii", volume), **fields))


def test_gzip_members_and_padding_read_as_one_file(noise, save):
    path = save(noise)
    content, expected = gzip.decompress(path.read_bytes()), read_nifti(path).voxels_hu
    path.write_bytes(b"".join(gzip.compress(content[i : i + 200]) for i in range(0, len(content), 200)))
    np.testing.assert_array_equal(read_nifti(path).voxels_hu, expected)
    path.write_bytes(path.read_bytes() + bytes(1000))
    np.testing.assert_array_equal(read_nifti(path).voxels_hu, expected)
    path.write_bytes(gzip.compress(content + b"\0"))
    assert "more data" in refusal(path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    assert "not a file" in refusal(tmp_path / "pipe.nii")


def test_trailing_axis_of_one_is_read_and_given_back(noise, save, tmp_path):
    volume, layout = read_nifti_with_layout(save(noise[..., None]))
    assert volume.shape_zyx == (10, 9, 8)
    write_nifti(tmp_path / "out.nii.gz", volume, layout)
    assert nib.load(tmp_path / "out.nii.gz").shape == (8, 9, 10, 1)


def test_what_is_not_one_ct_volume_is_refused(noise, save, tmp_path):
    assert "3-D" in refusal(save(np.stack([noise, noise], axis=-1)))
    assert "3-D" in refusal(save(noise[:, :, 0]))
    assert "NaN" in refusal(save(np.where(noise > 900, np.nan, noise).astype(np.float32)))
    assert "NaN" in refusal(save(np.where(noise > 900, 1e300, noise)))
    assert "every voxel is -1000" in refusal(save(np.full_like(noise, -1000)))
    assert "complex" in refusal(save(noise.astype(np.complex64)))
    assert "at most 100" in refusal(save(noise), max_voxels=100)
    assert "No such file" in refusal(tmp_path / "absent.nii.gz")
    assert "cannot be read" in refusal(tmp_path)
    text = tmp_path / "text.nii.gz"
    text.write_text("volume, patient")
    assert "not a NIfTI" in refusal(text)
    text.write_bytes(b"")
    assert "not a NIfTI" in refusal(text)
    with pytest.raises(InputError, match="hu_policy='guess'"):
        read_nifti(text, hu_policy="guess")


def test_a_scan_without_air_is_no_hu(noise, save):
    """Values stored from 0 up whose intercept the header lacks, as CT-RATE's raw files hold them."""
    path = save((noise + 1024).astype(np.int16))
    reason = refusal(path)
    assert "lowest is 24" in reason
    assert "intercept" in reason
    assert read_nifti(path, hu_policy="unchecked").voxels_hu.min() == 24
    repaired = save(noise, name="hu.nii.gz")
    assert read_nifti(repaired).voxels_hu.min() == -1000


@pytest.mark.parametrize(
    ("diagonal", "reason"), [((1, 1, 0.01), "spacing"), ((1, 1, 201), "spacing"), ((1, np.nan, 1), "finite")]
)
def test_impossible_affines_are_refused(noise, save, diagonal, reason):
    path = save(noise, name="scan.nii")
    rows = np.zeros((3, 4), "<f4")
    rows[:3, :3] = np.diag(diagonal)
    content = bytearray(path.read_bytes())
    content[280:328] = rows.tobytes()  # srow_x, srow_y, srow_z
    path.write_bytes(content)
    assert reason in refusal(path)


def test_singular_affine_is_refused(noise, save):
    path = save(noise, name="scan.nii")
    content = bytearray(path.read_bytes())
    content[280:328] = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], "<f4").tobytes()
    path.write_bytes(content)
    assert "singular" in refusal(path)


def test_truncation_checksum_and_surplus_are_noticed(noise, save):
    path = save(noise)
    whole = path.read_bytes()
    for keep in (20, 200, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:keep])
        refusal(path)
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])  # another CRC, which nibabel accepts
    assert "damaged" in refusal(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    assert "truncated" in refusal(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole) + bytes(1 << 24)))
    assert "more data" in refusal(path)
    plain = save(noise, name="scan.nii")
    plain.write_bytes(plain.read_bytes() + b"\0")
    assert "more data" in refusal(plain)


def test_a_tiny_file_that_declares_a_giant_is_refused_from_its_header(noise, save):
    path = save(noise, name="scan.nii")
    content = bytearray(path.read_bytes()[:352])
    content[42:48] = np.array([32767] * 3, "<i2").tobytes()
    path.write_bytes(content)
    assert "35181150961663 voxels" in refusal(path)


def test_equal_volumes_give_equal_bytes(volume, tmp_path):
    paths = [tmp_path / name for name in ("one.nii.gz", "two.nii.gz")]
    for path in paths:
        write_nifti(path, volume)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_floats_are_rounded_and_clipped_to_int16(volume, tmp_path):
    voxels = volume.voxels_hu.astype(np.float32) + 0.4
    voxels[0, 0, :2] = 1e6, -1e6
    path = tmp_path / "float.nii"
    write_nifti(path, CTVolume(voxels, volume.affine))
    read = read_nifti(path).voxels_hu
    assert read.dtype == np.int16
    np.testing.assert_array_equal(read[1:], volume.voxels_hu[1:])
    assert (read[0, 0, 0], read[0, 0, 1]) == (32767, -32768)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(volume, tmp_path):
    for path in (tmp_path / "absent" / "a.nii.gz", tmp_path / "a.mha"):
        with pytest.raises(InputError, match=path.name):
            write_nifti(path, volume)
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        write_nifti(tmp_path / "folder.nii", volume)
    with pytest.raises(InputError, match="79 ASCII"):
        write_nifti(tmp_path / "a.nii.gz", volume, description="ü")
    broken = volume.voxels_hu.astype(np.float32)
    broken[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        write_nifti(tmp_path / "a.nii.gz", CTVolume(broken, volume.affine))
    _, layout = read_nifti_with_layout(_written(tmp_path / "b.nii.gz", volume))
    with pytest.raises(InputError, match="not on the grid"):
        write_nifti(tmp_path / "a.nii.gz", CTVolume(volume.voxels_hu[1:], volume.affine), layout)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.nii.gz", "folder.nii"]


def test_unwritable_folder_is_refused(volume, tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(InputError, match="cannot be written"):
            write_nifti(tmp_path / "a.nii.gz", volume)
    finally:
        tmp_path.chmod(0o700)


def test_a_failed_write_keeps_the_old_file(volume, tmp_path):
    path = _written(tmp_path / "scan.nii.gz", volume)
    before = path.read_bytes()

    class BrokenDisk(np.ndarray):
        def clip(self, *limits):
            raise OSError(28, "No space left on device")

    broken = CTVolume(volume.voxels_hu.astype(np.float32).view(BrokenDisk), volume.affine)
    with pytest.raises(OSError, match="No space left"):
        write_nifti(path, broken)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_free_text_of_the_input_never_reaches_the_output(noise, save, tmp_path):
    path = save(noise, aux_file=b"DOE.dcm", intent_name=b"JANE", db_name=b"ward 7")
    volume, layout = read_nifti_with_layout(path)
    write_nifti(tmp_path / "out.nii", volume, layout)
    content = (tmp_path / "out.nii").read_bytes()[:352]
    assert not any(word in content for word in (SECRET.encode(), b"DOE", b"JANE", b"ward 7"))


def test_real_ct_keeps_its_voxels_and_world(real_ct_dir):
    for name in ("chest_a", "chest_b", "abdomen"):
        path = real_ct_dir / f"{name}.nii.gz"
        volume, layout = read_nifti_with_layout(path)
        image = nib.load(path)
        np.testing.assert_array_equal(layout.to_stored(volume.voxels_hu), np.asarray(image.dataobj))
        index = np.array([3, 5, 8])  # a voxel found by its world position alone
        i, j, k = np.rint(np.linalg.solve(image.affine, volume.affine @ [*index, 1])[:3]).astype(int)
        assert image.dataobj[i, j, k] == volume.voxels_hu[tuple(index)]


def _written(path, volume):
    write_nifti(path, volume)
    return path
