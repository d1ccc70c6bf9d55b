"""DICOM series in: the geometry that the tags give, HU slice by slice, and one line for all that is no whole scan."""

import random
import shutil
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from generatect.ct.dicom import list_series, read_series
from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.volume import CANONICAL_DIRECTIONS_RAS, CTVolume
from generatect.errors import InputError
from tests.dicom_writer import SERIES_UID, SHAPE, SPACING_MM, SUPINE, save, series_of, slice_of, straight, unique_hu

OTHER_UID = "1.2.826.0.1.3680043.8.498.2"
SCOUT_UID = "1.2.826.0.1.3680043.8.498.3"
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
LOCALISER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def assert_same(volume: CTVolume, other: CTVolume) -> None:
    assert volume.voxels_hu.dtype == other.voxels_hu.dtype
    assert np.array_equal(volume.voxels_hu, other.voxels_hu)
    assert np.array_equal(volume.affine, other.affine)


def world_by_tags(slices: list[pydicom.Dataset]) -> dict[int, np.ndarray]:
    """HU → RAS mm of each pixel, by the formula of the standard (PS3.3 C.7.6.2.1.1)."""
    found = {}
    for dataset in slices:
        cosines, position = np.array(dataset.ImageOrientationPatient), np.array(dataset.ImagePositionPatient)
        between_rows, between_columns = dataset.PixelSpacing
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
        for (row, column), value in np.ndenumerate(stored):
            left, back, up = position + cosines[:3] * between_columns * column + cosines[3:] * between_rows * row
            found[int(value) - 1024] = np.array([-left, -back, up])
    return found


def rotated(degrees: float, axis: int) -> tuple[float, ...]:
    """Supine slices turned about one of the patient's axes."""
    angle = np.radians(degrees)
    turn = np.eye(3)
    first, second = (index for index in range(3) if index != axis)
    turn[np.ix_([first, second], [first, second])] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return tuple(np.round(np.concatenate([turn @ SUPINE[:3], turn @ SUPINE[3:]]), 8).tolist())


@pytest.fixture
def whole(tmp_path_factory) -> CTVolume:
    """The series as it should be."""
    return read_series(save(tmp_path_factory.mktemp("whole"), series_of()))


@pytest.mark.parametrize(
    "orientation",
    [SUPINE, (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0), rotated(20, 0), rotated(-30, 2)],
    ids=["supine", "prone", "on the side", "oblique", "turned"],
)
@pytest.mark.parametrize("sign", [1, -1], ids=["headwards", "feetwards"])
def test_each_voxel_lies_where_its_tags_put_it(tmp_path, orientation, sign):
    normal = np.cross(orientation[:3], orientation[3:])
    slices = series_of(positions=straight(step=sign * 2.5 * normal), ImageOrientationPatient=list(orientation))
    volume = read_series(save(tmp_path, slices))
    expected = world_by_tags(slices)
    assert volume.voxels_hu.size == len(expected)
    for index, value in np.ndenumerate(volume.voxels_hu):
        assert np.allclose((volume.affine @ [*index, 1])[:3], expected[int(value)], atol=1e-4)
    assert (np.diag(CANONICAL_DIRECTIONS_RAS.T @ volume.directions) > 0.7).all()
    assert sorted(volume.spacing_mm_zyx) == pytest.approx(sorted((2.5, *SPACING_MM)))


def test_a_real_series_lies_where_its_tags_put_it(real_ct_dir):
    volume = read_series(real_ct_dir / "dicom_series")
    assert volume.shape_zyx == (20, 512, 512)
    assert volume.voxels_hu.dtype == np.int16
    assert volume.spacing_mm_zyx == pytest.approx((2, 0.9765625, 0.9765625))
    to_index, rng = np.linalg.inv(volume.affine), np.random.default_rng(0)
    for path in sorted((real_ct_dir / "dicom_series").iterdir()):
        dataset = pydicom.dcmread(path)
        assert list(dataset.ImageOrientationPatient) == list(SUPINE)
        hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        for row, column in rng.integers(0, 512, (200, 2)):
            left, back, up = dataset.ImagePositionPatient  # of the first pixel; the orientation is 1 0 0, 0 1 0
            right, front = -left - dataset.PixelSpacing[1] * column, -back - dataset.PixelSpacing[0] * row
            place = to_index @ [right, front, up, 1]
            index = tuple(np.rint(place[:3]).astype(int))
            assert np.allclose(place[:3], index, atol=1e-6)
            assert volume.voxels_hu[index] == hu[row, column]
    assert abs(np.median(volume.voxels_hu[:, :20, :20]) + 1000) <= 30  # air beside the patient
    soft = volume.voxels_hu[(volume.voxels_hu > -200) & (volume.voxels_hu < 200)]
    assert abs(np.median(soft)) < 80  # fat to muscle, about water


# The eight cases of the issue.


def test_names_do_not_matter(tmp_path, whole):
    names = ["slice 10", "B.DCM", "a", "deep.1", "9"]
    assert_same(read_series(save(tmp_path / "shuffled", series_of(), names)), whole)


def test_a_missing_slice_is_refused_with_its_place(tmp_path):
    slices = series_of()
    del slices[2]
    with pytest.raises(
        InputError, match=r"a slice is missing: between -97\.5 and -92\.5 mm .* 5 mm apart, usually 2\.5"
    ):
        read_series(save(tmp_path, slices))


def test_two_slices_at_one_place_are_refused_with_both_names(tmp_path):
    save(tmp_path, series_of())
    shutil.copy(tmp_path / "003.dcm", tmp_path / "copy.dcm")
    with pytest.raises(InputError, match=r"003\.dcm and .*copy\.dcm: two slices at -92\.5 mm \(1 such pairs\)"):
        read_series(tmp_path)


def test_of_two_series_one_must_be_chosen(tmp_path, whole):
    save(tmp_path, series_of())
    save(tmp_path / "sub", series_of(hu=unique_hu()[:, ::-1], SeriesInstanceUID=OTHER_UID)[1:])
    listed = rf"holds 2 series \(1: 5 slices, axial, UID {SERIES_UID}; 2: 4 slices, axial, UID {OTHER_UID}\)"
    with pytest.raises(InputError, match=listed):
        read_series(tmp_path)
    assert [(series.uid, series.num_slices) for series in list_series(tmp_path)] == [(SERIES_UID, 5), (OTHER_UID, 4)]
    for first in (1, "1", SERIES_UID):
        assert_same(read_series(tmp_path, first), whole)
    assert read_series(tmp_path, OTHER_UID).shape_zyx == (4, *SHAPE[1:])
    for wrong in ("3", "9.9", ""):
        with pytest.raises(InputError, match=f"series={wrong} is none of its 2 series"):
            read_series(tmp_path, wrong)
    with pytest.raises(InputError, match="holds 2 series"):
        read_series(tmp_path, SERIES_UID[:-1])


def test_instance_numbers_are_not_needed(tmp_path, whole):
    assert_same(read_series(save(tmp_path / "unnumbered", series_of(InstanceNumber=None))), whole)
    backwards = series_of()
    for number, dataset in enumerate(reversed(backwards)):
        dataset.InstanceNumber = number
    assert_same(read_series(save(tmp_path / "backwards", backwards)), whole)


def test_a_tilted_gantry_is_refused(tmp_path):
    tilted = series_of(ImageOrientationPatient=list(rotated(12, 0)), GantryDetectorTilt=12)
    with pytest.raises(InputError, match=r"tilted by 12\.0° against their stack \(gantry tilt\)"):
        read_series(save(tmp_path, tilted))


def test_each_slice_has_its_own_slope_and_intercept(tmp_path, whole):
    scalings = [(1, -1024), (1, -1000), (5, -1000), (1, 0), (1, -2048)]
    slices = [
        slice_of(hu, at, 0, RescaleSlope=slope, RescaleIntercept=intercept, PixelRepresentation=1)
        for hu, at, (slope, intercept) in zip(unique_hu(), straight(), scalings, strict=True)
    ]
    assert_same(read_series(save(tmp_path / "scaled", slices)), whole)


def test_a_localiser_is_left_out_and_alone_refused(tmp_path, whole):
    folder = save(tmp_path / "mixed", series_of())
    scout = slice_of(unique_hu()[0], (0, 0, 0), 0, ImageOrientationPatient=list(CORONAL), SeriesInstanceUID=SCOUT_UID)
    save(folder, [scout], ["scout"])
    save(folder, [slice_of(unique_hu()[0], (0, 0, -50), 0, ImageType=LOCALISER)], ["within the series"])
    assert_same(read_series(folder), whole)
    assert {series.kind for series in list_series(folder)} == {"axial", "coronal", "localiser"}
    with pytest.raises(InputError, match="no axial CT series, but: a localiser"):
        read_series(save(tmp_path / "alone", [slice_of(unique_hu()[0], (0, 0, 0), 0, ImageType=LOCALISER)]))
    with pytest.raises(InputError, match="its slices are coronal; expected an axial series"):
        read_series(folder, SCOUT_UID)


@pytest.mark.parametrize(("spacing_mm", "decimals"), [(0.625, 1), (1.25, 1), (0.7, 1), (0.625, 2)])
def test_rounded_positions_are_read_as_the_even_stack_that_they_come_from(tmp_path, spacing_mm, decimals):
    """Neighbours may be a sixth of their distance off, yet no slice is off by more than half the last decimal."""
    exact = np.array([-20.0, 30.0, -100.0]) + np.arange(40)[:, None] * [0, 0, spacing_mm]
    hu = np.random.default_rng(0).integers(-1000, 1000, (40, *SHAPE[1:]))
    unit = 10.0**-decimals
    volume = read_series(save(tmp_path, series_of(hu=hu, positions=np.round(exact / unit) * unit)))
    assert np.array_equal(volume.voxels_hu, hu)
    placed = volume.affine @ np.array([[*index, 1] for index in np.ndindex(40, 1, 1)]).T
    np.testing.assert_allclose(placed[2], exact[:, 2], atol=unit / 2)
    assert volume.spacing_mm_zyx[0] == pytest.approx(spacing_mm, rel=1e-3)


@pytest.mark.parametrize("tag", ["PixelSpacing", "RescaleSlope", "RescaleIntercept"])
def test_a_decimal_comma_is_called_unreadable_and_not_missing(tmp_path, tag):
    save(tmp_path, series_of(PixelSpacing=[0.75, 0.75], RescaleSlope="1.00", RescaleIntercept="-1024.00"))
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for value in {"PixelSpacing": [b"0.75"], "RescaleSlope": [b"1.00"], "RescaleIntercept": [b"-1024.00"]}[tag]:
            assert value in content
            content = content.replace(value, value.replace(b".", b","))
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"\.dcm: {tag} cannot be read as numbers; expected decimal points"):
        read_series(tmp_path)


def test_a_slight_tilt_is_kept_and_what_is_written_of_it_is_read(tmp_path):
    """Less than is refused, more than a qform can hold."""
    step = 2.5 * np.array([0, np.sin(np.deg2rad(0.4)), np.cos(np.deg2rad(0.4))])
    volume = read_series(save(tmp_path / "series", series_of(positions=straight(step=step))))
    write_nifti(tmp_path / "scan.nii.gz", volume)
    np.testing.assert_allclose(read_nifti(tmp_path / "scan.nii.gz").affine, volume.affine, atol=1e-4)


def test_patients_under_one_uid_are_parted(tmp_path, whole):
    save(tmp_path, series_of())
    names = [f"other{index}.dcm" for index in range(SHAPE[0])]
    save(tmp_path, series_of(hu=unique_hu()[::-1], PatientID="another"), names)
    with pytest.raises(InputError, match="holds 2 series"):
        read_series(tmp_path)
    assert_same(read_series(tmp_path, 1), whole)


# How pixels are stored.


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_storage_does_not_matter(tmp_path, whole, syntax):
    slices = series_of(PixelPaddingValue=0)
    for dataset in slices:
        if syntax == RLELossless:
            dataset.compress(RLELossless, generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
    assert_same(read_series(save(tmp_path / "stored", slices)), whole)


@pytest.mark.parametrize(("value", "limit"), [(-2000, None), (-2000, -1900), (63536, None)])
def test_padding_becomes_air(tmp_path, value, limit):
    hu = unique_hu()
    hu[:, 0, 0] = -2000
    signed = value < 0
    tags = {"PixelRepresentation": int(signed), "RescaleIntercept": 0 if signed else -65536 + 2000 - 1000}
    if not signed:  # a value that would be bone
        hu[:, 0, 0] = 63536 + tags["RescaleIntercept"]
    slices = series_of(hu=hu, PixelPaddingValue=value, PixelPaddingRangeLimit=limit, **tags)
    expected = np.where(hu == hu[0, 0, 0], -1000, hu)
    assert np.array_equal(read_series(save(tmp_path, slices)).voxels_hu, expected)


def test_fractions_make_float32(tmp_path):
    volume = read_series(save(tmp_path, series_of(RescaleSlope=0.5, RescaleIntercept=-1024.5)))
    assert volume.voxels_hu.dtype == np.float32
    assert np.abs(volume.voxels_hu - unique_hu()).max() <= 0.5
    assert np.unique(volume.voxels_hu % 1).tolist() in ([0.0, 0.5], [0.5], [0.0])


def test_values_beyond_int16_make_float32(tmp_path):
    hu = unique_hu()
    hu[3, 2, 1] = 40000
    volume = read_series(save(tmp_path, series_of(hu=hu)))
    assert volume.voxels_hu.dtype == np.float32
    assert np.array_equal(volume.voxels_hu, hu)


def test_bits_beyond_those_stored_are_not_pixels(tmp_path, whole):
    """Old scanners kept overlays in the four upper bits."""
    slices = series_of(BitsStored=12, HighBit=11)
    for dataset in slices:
        dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") | 0x5000).tobytes()
    assert_same(read_series(save(tmp_path / "overlays", slices)), whole)


# What is no whole scan.


def first_differs(**tags: object) -> list[pydicom.Dataset]:
    return [slice_of(unique_hu()[0], straight()[0], 0, **tags), *series_of()[1:]]


@pytest.mark.parametrize(
    ("slices", "reason"),
    [
        (lambda: series_of(Modality="MR"), "no axial CT series, but: its modality is not CT"),
        (lambda: series_of(ImagePositionPatient=None), "no usable ImagePositionPatient and ImageOrientationPatient"),
        (lambda: series_of(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "no usable ImagePositionPatient"),
        (lambda: first_differs(ImagePositionPatient=None), r"000\.dcm: no usable .*; remove it from its series"),
        (lambda: series_of(PixelSpacing=None), r"\.dcm: PixelSpacing is missing; expected two of"),
        (lambda: series_of(PixelSpacing=[0.01, 0.01]), r"\.dcm: PixelSpacing is \(0\.01, 0\.01\)"),
        (lambda: series_of(RescaleSlope=None), "RescaleSlope or RescaleIntercept is missing"),
        (lambda: series_of(RescaleIntercept=None), "RescaleSlope or RescaleIntercept is missing"),
        (lambda: series_of(RescaleSlope=0), "RescaleSlope 0, RescaleIntercept -1024; expected those of HU"),
        (lambda: series_of(RescaleType="Z_EFF"), "RescaleType is not HU"),
        (lambda: series_of(Rows=None), r"000\.dcm: DICOM header without Rows, likely truncated"),
        (lambda: series_of(Columns=None), r"6 rows, 0 columns; expected an image"),
        (lambda: series_of(Rows=60000, Columns=60000), "axes of 5 × 60000 × 60000 voxels; expected 2 to 32767"),
        (lambda: series_of(NumberOfFrames=5), "multi-frame"),
        (lambda: series_of(SOPClassUID=EnhancedCTImageStorage), "multi-frame .* convert it"),
        (lambda: series_of()[:1], "a series of a single slice"),
        (lambda: series_of(positions=straight(step=(0, 0, 500))), "slices 500 mm apart; expected 0.1 to"),
        (lambda: series_of(positions=straight()[[0, 1, 2, 3, 3]] + np.eye(5, 3, -3) * 1.0), "two slices at"),
        (lambda: series_of(positions=straight() + np.eye(5, 3, -2) * [1, 0, 0]), r"lies 0\.8 mm from where"),
        (
            lambda: series_of(positions=straight() + np.eye(5, 3, 1) * [0, 0, 0.3]),
            r"the spacing is uneven: the slice at -97\.2 mm lies 0\.21",
        ),
        (lambda: first_differs(PixelSpacing=[0.75, 1.3]), "PixelSpacing differs from 000.dcm"),
        (lambda: first_differs(ImageOrientationPatient=list(rotated(3, 2))), "ImageOrientationPatient differs"),
        (
            lambda: [slice_of(np.zeros((4, 4)), straight()[0], 0), *series_of()[1:]],
            "6 × 8 pixels, but 000.dcm has 4 × 4",
        ),
        (lambda: series_of(hu=np.zeros(SHAPE)), "every voxel is 0; expected an image"),
        (lambda: series_of(hu=unique_hu() + 1000), "no voxel below -300 HU, the lowest is 0"),
        (lambda: series_of(SamplesPerPixel=3, PlanarConfiguration=0), "pixels missing, truncated or damaged"),
        (lambda: series_of(BitsAllocated=8, BitsStored=8, HighBit=7), r"pixels of shape|pixels missing"),
    ],
)
def test_what_is_no_scan_is_refused(tmp_path, slices, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about what is wrong on purpose
        save(tmp_path, slices())
    with pytest.raises(InputError, match=reason) as caught:
        read_series(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_compression_without_decoder_says_what_to_install(tmp_path):
    slices = series_of()
    for dataset in slices:
        dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    advice = r"compressed as JPEG Lossless.*; pip install \"pylibjpeg>=2\.0\" \"pylibjpeg-libjpeg>=2\.1\""
    with pytest.raises(InputError, match=advice):
        read_series(save(tmp_path, slices))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["plain", "RLE", "JPEG 2000"])
def test_a_truncated_file_is_refused_by_name(tmp_path, real_ct_dir, kind, share):
    if kind == "JPEG 2000":
        for path in sorted((real_ct_dir / "dicom_series").iterdir())[:2]:
            shutil.copyfile(path, tmp_path / f"{path.name}.dcm")
    else:
        slices = series_of()[:2]
        for dataset in slices if kind == "RLE" else ():
            dataset.compress(RLELossless)
        save(tmp_path, slices)
    path = sorted(tmp_path.iterdir())[1]
    content = path.read_bytes()
    pixels = content.index(b"\xe0\x7f\x10\x00O")
    end = len(content) - 9  # so that it is not merely the mark behind compressed pixels that is cut
    path.write_bytes(content[: pixels + int(share * (end - pixels))])
    with pytest.raises(InputError, match=f"{path.name}: pixels missing, truncated or damaged"):
        read_series(tmp_path)


@pytest.mark.parametrize("num_bytes", [140, 300, 500, 600])
def test_a_truncated_header_is_refused_by_name(tmp_path, num_bytes):
    """At an end of the stack, where no gap would show."""
    path = save(tmp_path, series_of()) / "000.dcm"
    content = path.read_bytes()
    assert num_bytes < content.index(b"\x28\x00\x10\x00US")  # Rows
    path.write_bytes(content[:num_bytes])
    with pytest.raises(InputError, match=r"000\.dcm: (DICOM header without Rows|damaged DICOM header)"):
        read_series(tmp_path)


def test_other_files_are_passed_over_and_an_empty_folder_refused(tmp_path, whole):
    folder = save(tmp_path / "whole", series_of())
    (folder / "notes.txt").write_text("the patient's name")
    (folder / "empty").touch()
    shutil.copy(pydicom.data.get_testdata_file("DICOMDIR"), folder / "DICOMDIR")
    assert_same(read_series(folder), whole)
    assert_same(read_series(sorted(folder.iterdir())), whole)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.txt").touch()
    for path, reason in (("none", "no DICOM among 1 files"), ("nowhere", "no such folder")):
        with pytest.raises(InputError, match=f"{path}: {reason}"):
            read_series(tmp_path / path)
    with pytest.raises(InputError, match="no files given"):
        read_series([])


def test_a_series_without_uid_is_that_of_its_folder(tmp_path, whole):
    save(tmp_path / "anonymous" / "a", series_of(SeriesInstanceUID=None))
    assert_same(read_series(tmp_path / "anonymous"), whole)
    save(tmp_path / "anonymous" / "b", series_of(SeriesInstanceUID=None))
    with pytest.raises(InputError, match="holds 2 series"):
        read_series(tmp_path / "anonymous")


def test_a_deflated_bomb_is_not_inflated(tmp_path):
    shutil.copy(pydicom.data.get_testdata_file("image_dfl.dcm"), tmp_path)
    with pytest.raises(InputError, match=r"image_dfl\.dcm: a deflated DICOM file; store it uncompressed"):
        read_series(tmp_path)


def test_free_text_is_never_quoted(tmp_path, caplog, capfd):
    """Strings planted in every tag that can hold one, and wrong values where numbers belong."""
    planted = "Zqplanted"
    texts = ("PatientName", "PatientID", "InstitutionName", "SeriesDescription", "PatientComments", "RescaleType")
    wrong = ("SeriesInstanceUID", "Modality", "ImageType", "PatientAge", "PatientSex", "StudyInstanceUID")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, keyword in enumerate((*texts, *wrong)):
            slices = series_of(**dict.fromkeys((*texts, keyword), planted))[::2]
            save(tmp_path / str(number), [*slices, *slices])
    caplog.clear()
    shown = []
    for folder in tmp_path.iterdir():
        for series in list_series(folder):
            shown.append(str(series))
        with pytest.raises(InputError) as caught:
            read_series(folder)
        shown.append(str(caught.value))
    out, err = capfd.readouterr()
    assert planted not in "\n".join([*shown, out, err, caplog.text])
    assert len(shown) == 2 * (len(texts) + len(wrong))


def test_mutated_files_are_read_or_refused(tmp_path, whole):
    """Bytes of a slice changed at random: never another exception, and no other geometry without a word."""
    rng = random.Random(0)
    path = save(tmp_path, series_of()) / "002.dcm"
    content, refusals = path.read_bytes(), []
    for _ in range(250):
        mutated = bytearray(content)
        for _ in range(rng.choice((1, 3, 10))):
            mutated[rng.randrange(132, len(content) - 60)] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(mutated)
        try:
            volume = read_series(tmp_path)
        except InputError as error:
            refusals.append(str(error))
        else:
            assert volume.shape_zyx == whole.shape_zyx
            assert np.array_equal(volume.affine, whole.affine)
    assert 25 < len(refusals) < 225
    assert not any("\n" in refusal for refusal in refusals)
