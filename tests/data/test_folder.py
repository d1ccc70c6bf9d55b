"""A folder and its table: what is accepted, and what each mistake is answered with."""

import os

import numpy as np
import pytest

from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.ct.volume import CTVolume
from generatect.data.folder import FolderPairs
from generatect.data.split import split_by_patient
from generatect.data.table import read_table
from generatect.errors import InputError

REPORT = "Small left pleural effusion."


@pytest.fixture
def folder(tmp_path):
    """Three volumes, one of them in a subfolder, and no table yet."""
    root = tmp_path / "volumes"
    (root / "sub").mkdir(parents=True)
    grid = Grid((4, 6, 6), (3.0, 2.0, 2.0))
    rng = np.random.default_rng(0)
    for name in ("a.nii.gz", "sub/b.nii.gz", "c.nii"):
        voxels = rng.integers(-1000, 1000, grid.shape_zyx).astype(np.int16)
        write_nifti(root / name, CTVolume(voxels, grid.affine()))
    return tmp_path


def table(folder, content: str | bytes):
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pairs_of(folder, content: str, **options) -> FolderPairs:
    return FolderPairs(root=str(folder / "volumes"), table=str(table(folder, content)), **options)


def refusal(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert REPORT not in message
    return message


def test_pairs_of_a_folder(folder):
    pairs = pairs_of(
        folder,
        "volume,patient,text,age,Nodule\n"
        f'a.nii.gz,p1,{REPORT},61,1\nsub/b,p2,"Heart, normal.\nLungs clear.",44,0\nc,p1,Clear.,61,0\n',
        label_columns=["Nodule"],
    )
    assert len(pairs) == 3
    assert [pairs.name(i) for i in range(3)] == ["a.nii.gz", "sub/b", "c"]
    assert [pairs.patient(i) for i in range(3)] == ["p1", "p2", "p1"]
    assert pairs.text(0) == REPORT
    assert pairs.text(1) == "Heart, normal.\nLungs clear."
    assert pairs.labels(0) == {"Nodule": 1}
    assert pairs.volume(2).spacing_mm_zyx == (3.0, 2.0, 2.0)
    preset = PhysicalPreset(num_slices=4, size=6, upscaled_size=12)
    assert pairs.model_input(1, preset).shape == (1, 4, 6, 6)
    assert pairs.model_input(1, preset, upscaled=True).shape == (1, 4, 12, 12)


def test_fingerprints_follow_content_not_place_or_date(folder):
    content = "volume,patient,text\na.nii.gz,p,x\nc.nii,p,x\n"
    pairs = pairs_of(folder, content)
    before = [pairs.fingerprint(i) for i in range(2)]
    assert len(set(before)) == 2
    assert pairs_of(folder, content).fingerprint(0) == before[0]
    path = folder / "volumes" / "a.nii.gz"
    os.utime(path, ns=(1, 1))
    assert pairs.fingerprint(0) == before[0]
    volume = pairs.volume(0)
    changed = volume.voxels_hu.copy()
    changed[1, 1, 1] += 1
    write_nifti(path, CTVolume(changed, volume.affine))
    os.utime(path, ns=(1, 1))
    assert pairs.fingerprint(0) != before[0]


def test_missing_volumes_are_counted_and_the_first_is_named(folder):
    message = refusal(pairs_of, folder, "volume,patient,text\na.nii.gz,p,x\nnot_here,p,x\nnor_here,p,x\n")
    assert "2 of 3 volumes" in message
    assert "'not_here' (row 2)" in message
    assert "a.nii.gz' is the file of row" not in message
    assert "is the file of row 1" in refusal(pairs_of, folder, "volume,patient,text\na,p,x\na.nii.gz,p,x\n")
    for outside in ("../table", "/etc/passwd"):
        assert "below" in refusal(pairs_of, folder, f"volume,patient,text\n{outside},p,x\n")
    assert "root=" in refusal(FolderPairs, root=str(folder / "absent"), table="t.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_and_windows_line_ends_do_not_matter(folder, encoding, end):
    lines = ["volume, patient ,text", f"a,p1,{REPORT}", "", "b,p2,Übersicht."]
    rows = read_table(table(folder, end.join(lines).encode(encoding)))
    assert [(row.number, row.volume, row.patient, row.text) for row in rows] == [
        (1, "a", "p1", REPORT),
        (2, "b", "p2", "Übersicht."),
    ]
    assert rows[0].labels is None


def test_findings_and_impression_stand_in_for_text(folder):
    content = "volume,patient,findings,impression\na,p,Opacity.,Pneumonia.\nb,p,Not given.,Clear.\n"
    assert [row.text for row in read_table(table(folder, content))] == ["Opacity. Pneumonia.", "Clear."]
    assert read_table(table(folder, content), text_column="impression")[0].text == "Pneumonia."
    assert "no column 'report'" in refusal(read_table, table(folder, content), text_column="report")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        ("volume,patient,text\n", "no rows"),
        ("volume,text\na,x\n", "no column 'patient'"),
        ("patient,text\np,x\n", "no column 'volume'"),
        ("volume,patient\na,p\n", "no column 'text'"),
        ("volume,patient,text,text\na,p,x,x\n", "occurs twice"),
        (f"volume,patient,text\na,p,{REPORT}\na,p,{REPORT}\n", "row 2: volume 'a' is already in row 1"),
        (f"volume,patient,text\na,p,{REPORT}\nb,p,   \n", "row 2: empty report (text) for volume 'b'"),
        ("volume,patient,text\na,p,Not given.\n", "row 1: empty report"),
        ("volume,patient,text\n,p,x\n", "row 1: empty volume"),
        ("volume,patient,text\na,,x\n", "row 1: empty patient"),
        (f"volume,patient,text\na,p,{REPORT},and more\n", "row 1: 4 cells, expected 3"),
        (b"volume,patient,text\na,p,\xff\n", "not UTF-8"),
        ('volume,patient,text\na,p,"open\n', "not a CSV"),
    ],
)
def test_each_mistake_in_a_table_has_its_line(folder, content, reason):
    path = table(folder, content)
    message = refusal(read_table, path)
    assert message.startswith(str(path))
    assert reason in message


def test_labels_are_zero_or_one(folder):
    path = table(folder, "volume,patient,text,Nodule\na,p,x,1.0\nb,p,x,2\n")
    assert "row 2: Nodule='2'" in refusal(read_table, path, label_columns=["Nodule"])
    assert "no column 'Mass'" in refusal(read_table, path, label_columns=["Mass"])
    assert "No such file" in refusal(read_table, folder / "absent.csv")


def test_a_split_never_divides_a_patient_and_is_stable():
    patients = [f"p{i // 3}" for i in range(3000)]
    sides = split_by_patient(patients, val_fraction=0.2, seed=1)
    assert sorted(sides["train"] + sides["val"]) == list(range(3000))
    train, val = ({patients[i] for i in sides[side]} for side in ("train", "val"))
    assert not train & val
    assert 0.15 < len(val) / 1000 < 0.25
    more = ["new", *patients[::-1], "newer"]
    again = split_by_patient(more, val_fraction=0.2, seed=1)
    assert {more[i] for i in again["val"]} - {"new", "newer"} == val
    assert {patients[i] for i in split_by_patient(patients, val_fraction=0.2, seed=2)["val"]} != val
    wider = {patients[i] for i in split_by_patient(patients, val_fraction=0.3, seed=1)["val"]}
    assert val < wider
    assert split_by_patient(patients, val_fraction=0.0)["val"] == []
    with pytest.raises(InputError, match="val_fraction=1"):
        split_by_patient(patients, val_fraction=1.0)
