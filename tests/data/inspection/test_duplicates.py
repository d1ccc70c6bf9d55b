"""One scan in two files is one scan, whatever the files look like; what matters is the side that each is used on."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from generatect.ct.nifti import read_nifti, write_nifti
from generatect.ct.same_scan import glimpse_of_nifti, voxel_hash
from generatect.ct.scan import read_scan
from generatect.data.inspection.duplicates import check_duplicates, suspects
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.header_facts import header_facts
from generatect.data.manifest import Record
from tests.dicom_writer import save, series_of


def record(name: str, patient: str = "p") -> Record:
    return Record(name, Path(name), patient, "text")


@pytest.fixture
def scan_file(tmp_path, scan, spoil) -> Path:
    spoil["write"](tmp_path / "scan.nii.gz", scan(0))
    return tmp_path / "scan.nii.gz"


def store(path: Path, like: Path, change) -> Path:
    """Writes a scan in another way: `change` makes voxels and affine of those of the file."""
    image = nib.load(like)
    voxels, affine, header = change(np.asanyarray(image.dataobj), image.affine)
    made = nib.Nifti1Image(voxels, affine)
    made.header.set_xyzt_units("mm")
    for key, value in header.items():
        made.header[key] = value
    nib.save(made, path)
    return path


def flipped(axis: int):
    def change(voxels, affine):
        turn = np.eye(4)
        turn[axis, axis], turn[axis, 3] = -1, voxels.shape[axis] - 1
        return np.flip(voxels, axis), affine @ turn, {}

    return change


OTHERWISE = {
    "as float": lambda voxels, affine: (voxels.astype(np.float32), affine, {}),
    "with a name in the header": lambda voxels, affine: (voxels, affine, {"descrip": b"other"}),
    "at another place": lambda voxels, affine: (voxels, affine + np.eye(4)[:, 3] * 70 - np.diag([0, 0, 0, 70]), {}),
    "left to right": flipped(0),
    "front to back": flipped(1),
}


@pytest.mark.parametrize("way", OTHERWISE)
def test_a_scan_stored_otherwise_is_the_same_by_its_voxels_and_at_a_glimpse(scan_file, tmp_path, way):
    other = store(tmp_path / "other.nii", scan_file, OTHERWISE[way])
    assert voxel_hash(read_nifti(other).voxels_hu) == voxel_hash(read_nifti(scan_file).voxels_hu)
    assert glimpse_of_nifti(other) == glimpse_of_nifti(scan_file) is not None


def test_what_padding_is_worth_makes_no_other_scan(scan):
    voxels = scan(0).voxels_hu
    assert voxel_hash(np.where(voxels < -1000, -3000, voxels)) == voxel_hash(voxels)


def test_a_scan_stored_from_the_other_end_is_the_same_by_its_voxels_alone(scan_file, tmp_path):
    other = store(tmp_path / "other.nii", scan_file, flipped(2))
    assert voxel_hash(read_nifti(other).voxels_hu) == voxel_hash(read_nifti(scan_file).voxels_hu)
    assert glimpse_of_nifti(other) != glimpse_of_nifti(scan_file)


def test_other_scans_and_one_changed_voxel_are_not_the_same(scan_file, tmp_path, scan, spoil):
    spoil["write"](tmp_path / "other.nii", scan(1))
    assert glimpse_of_nifti(tmp_path / "other.nii") != glimpse_of_nifti(scan_file)
    voxels = scan(0).voxels_hu.copy()
    voxels[40, 60, 60] += 1
    assert voxel_hash(voxels) != voxel_hash(scan(0).voxels_hu)
    assert voxel_hash(voxels[:, :-1]) != voxel_hash(voxels[:, 1:])


def test_a_dicom_series_under_another_name_and_as_nifti_is_the_same(tmp_path):
    folders = [
        save(tmp_path / "one", series_of(), None),
        save(tmp_path / "other", series_of(PatientID="somebody else")),
    ]
    volume = read_scan(folders[0]).volume
    write_nifti(tmp_path / "scan.nii.gz", volume)
    paths = [*folders, tmp_path / "scan.nii.gz"]
    assert len({voxel_hash(read_scan(path).volume.voxels_hu) for path in paths}) == 1
    glimpses = {header_facts(Record("a", path, "p", "text"), 1).glimpse for path in paths}
    assert len(glimpses) == 1
    assert None not in glimpses


def test_volumes_that_begin_with_the_same_mask_are_not_alike_for_that(scan_file, tmp_path, scan, spoil):
    """A round field of view in the first slices of every scan would have whole archives read."""
    paths = [scan_file, tmp_path / "second.nii.gz"]
    spoil["write"](paths[1], scan(1))

    def masked(voxels, affine):
        voxels = voxels.copy()
        i, j = np.ogrid[: voxels.shape[0], : voxels.shape[1]]
        voxels[:, :, :3] = np.where((i - 64) ** 2 + (j - 64) ** 2 < 3600, -1024, -2048)[..., None]
        return voxels, affine, {}

    first, second = (store(tmp_path / f"{path.name}.nii", path, masked) for path in paths)
    assert glimpse_of_nifti(first) != glimpse_of_nifti(second)
    assert glimpse_of_nifti(first) == glimpse_of_nifti(store(tmp_path / "f.nii", first, OTHERWISE["as float"]))


def test_first_planes_of_one_value_and_damaged_files_show_nothing(scan_file, tmp_path):
    def empty(voxels, affine):
        voxels = voxels.copy()
        voxels[:, :, : voxels.shape[2] // 2] = -1024
        return voxels, affine, {}

    assert glimpse_of_nifti(store(tmp_path / "empty.nii", scan_file, empty)) is None
    content = gzip.decompress(scan_file.read_bytes())
    (tmp_path / "cut.nii").write_bytes(content[:1000])
    assert glimpse_of_nifti(tmp_path / "cut.nii") is None
    (tmp_path / "folder").mkdir()
    assert glimpse_of_nifti(tmp_path / "folder") is None


def test_volumes_are_judged_by_the_sides_that_they_are_used_on():
    records = [record("a"), record("b", "q"), record("c"), record("d", "r")]
    files, none = ["same", "same", "same", "other"], [None] * 4

    def codes(*sides: str | None) -> list[tuple[str, str]]:
        return [(f.code, f.name) for f in check_duplicates(records, files, none, sides)]

    assert codes("train", "val", "train", "val") == [("duplicate-across-splits", "b"), ("duplicate-across-splits", "c")]
    assert codes("train", "train", "train", "val") == [("duplicate-file", "b"), ("duplicate-file", "c")]
    assert codes(None, None, None, None) == [("duplicate-patients", "b"), ("duplicate-file", "c")]
    # The first is on neither side: still the other two are one scan on both.
    assert codes(None, "train", "val", None) == [("duplicate-patients", "b"), ("duplicate-across-splits", "c")]
    assert check_duplicates(records, none, none, ["train", "val", "train", "val"]) == []


def test_a_finding_names_the_other_volume_and_says_whose_it_is():
    (finding,) = check_duplicates([record("a"), record("b", "q")], [None] * 2, ["v", "v"], ["train", "val"])
    assert finding.severity == "error"
    assert finding.message == "train and val: the same as a, another patient's; give both one patient, or keep one"


def test_bytes_and_voxels_together_make_one_group():
    """The first two are one file, the last two one volume, and the first two were read in different ways."""
    findings = check_duplicates([record(n) for n in "abc"], ["f", "f", "g"], ["u", "v", "v"], ["train", "train", "val"])
    assert [(f.code, f.name) for f in findings] == [("duplicate-file", "b"), ("duplicate-across-splits", "c")]


def test_only_volumes_alike_at_a_glimpse_and_not_yet_known_are_read():
    def facts(glimpse: str | None, content: str | None = None) -> HeaderFacts:
        return HeaderFacts(1, content=content, glimpse=glimpse)

    headers = [facts("g"), facts("g", "f"), facts("g", "f"), facts("h"), facts(None), facts(None)]
    assert suspects(headers, [None] * 6, None) == [0, 1]  # of files that are the same by their bytes one is enough
    assert suspects(headers, ["known", *[None] * 5], None) == [1]
    assert suspects(headers[1:], [None] * 5, None) == []
    assert suspects(headers, [None] * 6, ["train", "train", "train", "val", "val", "train"]) == []
    assert suspects(headers, [None] * 6, ["train", "val", "val", "val", "val", "train"]) == [0, 1]
