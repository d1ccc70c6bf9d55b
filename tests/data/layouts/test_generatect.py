"""GenerateCT's example data: numbers, age and sex of the JSON, and nothing else of it."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
import pytest

from generatect.ct.hounsfield import Scaling
from generatect.data.archive import ArchivePairs
from generatect.data.layouts.generatect import MAX_JSON_BYTES, GenerateCTLayout
from generatect.data.layouts.listing import list_volumes
from generatect.data.manifest import Manifest
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs

PLANTED = "Zqplanted"


def metadata(**changes) -> dict:
    """What a volume's JSON says; None leaves a key out."""
    values = {
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PatientAge": "061Y",
        "PatientSex": "M",
        "Manufacturer": PLANTED,
        "PatientName": {"given": [PLANTED]},
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


def add(root: Path, name: str, content: dict | bytes | None = None) -> Path:
    """An empty volume and its JSON."""
    path = root / f"{name}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    content = metadata() if content is None else content
    path.with_name(f"{path.name.removesuffix('.nii.gz')}_metadata.json").write_bytes(
        content if isinstance(content, bytes) else json.dumps(content).encode()
    )
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    """The accessions of three patients in a workbook."""
    book = openpyxl.Workbook()
    for row in (("AccessionNo", "Impressions"), ("A1", "Nodule (5 mm)."), (1002, "Clear."), ("A3", "Not given.")):
        book.active.append(row)
    book.save(tmp_path / "reports.xlsx")
    return tmp_path / "reports.xlsx"


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "volumes"


def read(root: Path, table: Path, **options) -> Manifest:
    return GenerateCTLayout(root=str(root), table=str(table), **options).read()


def reasons(manifest: Manifest) -> dict[str, str]:
    return {entry.name: entry.reason for entry in manifest.left_out}


def refusal(root: Path, table: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(root, table, **options)
    assert "\n" not in str(caught.value)
    assert PLANTED not in str(caught.value)
    return str(caught.value)


def test_who_and_what(root, table):
    add(root, f"{PLANTED}1/A1/scan1")
    path = add(root, f"{PLANTED}1/A1/scan2", metadata(RescaleSlope="0.5", RescaleIntercept="-1024.5"))
    add(root, f"{PLANTED}2/1002/scan1", metadata(PatientAge="009M", PatientSex=None))
    found = read(root, table)
    assert [record.name for record in found.records] == ["A1/scan1.nii.gz", "A1/scan2.nii.gz", "1002/scan1.nii.gz"]
    first, second, third = found.records
    assert first.patient == second.patient != third.patient
    assert first.text == "61 years old male: Nodule 5 mm."
    assert second.path == path
    assert second.metadata == Scaling(0.5, -1024.5)
    assert third.text == "00 years old None: Clear."
    assert {(record.split, record.labels, record.spacing_mm_zyx) for record in found.records} == {(None, None, None)}
    assert reasons(found) == {"A3": "no file"}


def test_free_text_stays_where_it_is(root, table):
    add(root, "p/A1/scan1")
    assert PLANTED not in repr(read(root, table))


def test_names_do_not_tell_the_patient(root, table):
    add(root, f"{PLANTED}/A1/scan1")
    add(root, f"{PLANTED}/A3/scan1")
    found = read(root, table)
    assert PLANTED not in " ".join([*(record.name for record in found.records), *reasons(found)])


@pytest.mark.parametrize("template", ["report", "impression", "demographics"])
def test_templates(root, table, template):
    add(root, "p/A1/scan1")
    person = "61 years old male: " if template == "demographics" else ""
    assert read(root, table, template=template).records[0].text == f"{person}Nodule (5 mm)."


def test_the_release_s_prompt_keeps_blanks_and_dicom_s_third_sex(root, tmp_path):
    table = tmp_path / "reports.csv"
    table.write_text('AccessionNo,Impressions\nA1,"  Nodule (5 mm).  "\nA1,Nodule (5 mm).\nA2,nan\n')
    add(root, "p/A1/scan1", metadata(PatientSex="O"))
    add(root, "p/A2/scan1")
    found = read(root, table)
    assert [record.text for record in found.records] == ["61 years old O:   Nodule 5 mm.  "]
    assert reasons(found) == {"A2/scan1.nii.gz": "no report"}
    assert read(root, table, template="impression").records[0].text == "Nodule (5 mm)."


def test_accessions_that_a_spreadsheet_has_shortened(root, tmp_path):
    (tmp_path / "reports.csv").write_text("AccessionNo,Impressions\n1.23457E+11,x\n")
    add(root, "p/123456789012/scan1")
    assert "row 1: AccessionNo '1.23457E+11' is a long number" in refusal(root, tmp_path / "reports.csv")


NO_NUMBERS = "no usable RescaleSlope and RescaleIntercept in its metadata JSON"
BROKEN = "its metadata JSON is broken"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (metadata(RescaleSlope=None), NO_NUMBERS),
        (metadata(RescaleSlope=0), NO_NUMBERS),
        (metadata(RescaleSlope=True), NO_NUMBERS),
        (metadata(RescaleIntercept=PLANTED), NO_NUMBERS),
        (metadata(RescaleIntercept=[-1024]), NO_NUMBERS),
        (b'{"RescaleSlope": 1, "RescaleIntercept": NaN}', NO_NUMBERS),
        (b'{"RescaleSlope": 1, "RescaleIntercept": 1' + b"0" * 400 + b"}", NO_NUMBERS),
        (b"", BROKEN),
        (b"[1, 2]", BROKEN),
        (json.dumps(metadata()).encode()[:-1], BROKEN),
        (b"\xff\xfe\xfa", BROKEN),
        (b"[" * 100_000, BROKEN),
        (b'{"RescaleSlope": ' + b"1" * 10_000 + b"}", BROKEN),
        (b" " * (MAX_JSON_BYTES + 1), f"its metadata JSON has more than {MAX_JSON_BYTES} bytes"),
    ],
)
def test_a_json_that_cannot_be_used_leaves_its_volume_out(root, table, content, reason):
    add(root, "p/A1/scan1", content)
    add(root, "p/A1/scan2")
    found = read(root, table)
    assert [record.name for record in found.records] == ["A1/scan2.nii.gz"]
    assert reasons(found)["A1/scan1.nii.gz"] == reason


@pytest.mark.parametrize("value", [PLANTED, {"a": 1}, [61], True, -3, 61.5e9])
def test_age_and_sex_only_where_they_are_known(root, table, value):
    add(root, "p/A1/scan1", metadata(PatientAge=value, PatientSex=value))
    assert read(root, table, template="demographics").records[0].text == "Nodule (5 mm)."


def test_each_left_out_with_its_reason(root, table, tmp_path):
    add(root, "p/A1/scan1").with_name("scan1_metadata.json").unlink()
    for name in ("p/A2/scan1", "p/A3/scan1", "p/A4/scan1", "q/A5/scan1", "r/A5/scan2"):
        add(root, name)
    table = tmp_path / "reports.csv"
    table.write_text("AccessionNo,Impressions\nA1,x\nA3,Not given.\nA4,x\nA4,y\nA4,x\nA5,x\nA6,x\n")
    found = read(root, table)
    assert found.records == []
    assert reasons(found) == {
        "A1/scan1.nii.gz": "its metadata JSON is missing or cannot be read",
        "A2/scan1.nii.gz": "no report",
        "A3/scan1.nii.gz": "no report",
        "A4/scan1.nii.gz": "two different reports",
        "A5/scan1.nii.gz": "its accession is in the folders of several patients",
        "A5/scan2.nii.gz": "its accession is in the folders of several patients",
        "A6": "no file",
    }


def test_refusals(root, table, tmp_path):
    assert "data.root=" in refusal(root, table)
    root.mkdir()
    assert "no volume; expected PATIENT/ACCESSION/VOLUME.nii.gz" in refusal(root, table)
    add(root, "p/A1/scan1")
    assert "template=poem" in refusal(root, table, template="poem")
    other = tmp_path / "other.csv"
    other.write_text(f"AccessionNo,text\nA1,{PLANTED}\n")
    assert "no column 'Impressions'" in refusal(root, other)
    other.write_text(f"AccessionNo,Impressions\nA1,x\n,{PLANTED}\n")
    assert "row 2: empty AccessionNo" in refusal(root, other)
    assert "cannot be read" in refusal(root, tmp_path / "absent.xlsx")


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.5, -1024.5)])
def test_stored_values_become_hu(root, table, slope, intercept):
    true = PhantomPairs(num=8, seed=5, native_shape_zyx=(34, 64, 60)).volume(1)
    hu = np.rint(true.voxels_hu)
    path = add(root, "p/A1/scan1", metadata(RescaleSlope=slope, RescaleIntercept=intercept))
    stored = np.rint((hu - intercept) / slope).astype(np.int16).transpose(2, 1, 0)
    z, y, x = true.spacing_mm_zyx
    nib.save(nib.Nifti1Image(stored, np.diag([-x, -y, z, 1.0])), path)
    volume, decision = ArchivePairs(layout=GenerateCTLayout(root=str(root), table=str(table))).read(0)
    assert (decision.policy, decision.slope, decision.intercept) == ("metadata", slope, intercept)
    assert np.array_equal(volume.voxels_hu, hu)
    assert volume.spacing_mm_zyx == pytest.approx((z, y, x))


def test_a_link_to_itself_ends_no_archive(tmp_path):
    (tmp_path / "patient" / "scan").mkdir(parents=True)
    (tmp_path / "patient" / "scan" / "v.nii.gz").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "patient")
    for folder in (tmp_path, tmp_path / "patient"):
        (folder / "self").symlink_to("self")
    expected = [("linked", "scan", "v.nii.gz"), ("patient", "scan", "v.nii.gz")]
    assert list(list_volumes(tmp_path)) == expected
