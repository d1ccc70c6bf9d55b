"""Bare arrays and a table: recognised or stated, the same HU in the same place; doubt is refused."""

import csv
import json
import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from generatect.ct.arrays import RECOGNISED, ArrayForm, read_array, read_array_header
from generatect.ct.nifti import write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.ct.volume import CTVolume
from generatect.data.archive import ArchivePairs
from generatect.data.layouts.npz import NpzLayout
from generatect.errors import InputError
from generatect.phantom.findings import FINDINGS
from generatect.phantom.pairs import PhantomPairs
from generatect.utility_study.synthetic import Synthetic, read_synthetic

NUM, LABELS = 4, list(FINDINGS[:2])
STATED = {"axes": "SLP", "spacing_mm": [12.5625, 8.0, 8.0]}
AS_STORED = {"hu": lambda hu: hu, "unit": lambda hu: (hu + 1000) / 2000, "signed": lambda hu: hu / 1000}


@pytest.fixture(scope="module")
def phantoms() -> list[CTVolume]:
    """Small volumes that look like a CT, of whole HU."""
    preset, pairs = PhysicalPreset(num_slices=24, size=48, upscaled_size=48), PhantomPairs(num=NUM, seed=5)
    volumes = [preset.to_volume(pairs.model_input(number, preset)) for number in range(NUM)]
    return [CTVolume(np.rint(volume.voxels_hu), volume.affine) for volume in volumes]


@pytest.fixture(scope="module")
def dataset(phantoms, tmp_path_factory) -> Path:
    """As the authors' is said to be: arrays z x y in [-1, 1], prompts and labels in a table."""
    folder = tmp_path_factory.mktemp("npz")
    pairs = PhantomPairs(num=NUM, seed=5)
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Names", "Text_prompts", *LABELS])
        for number, volume in enumerate(phantoms):
            np.savez_compressed(folder / f"v{number}.npz", stored(volume, "signed"))
            labels = pairs.labels(number)
            ending = (".nii.gz", ".npz", "")[number % 3]  # as it was to be called, as it is called, and neither
            writer.writerow([f"v{number}{ending}", pairs.text(number), *(labels[name] for name in LABELS)])
    return folder


def stored(volume: CTVolume, kind: str) -> np.ndarray:
    return AS_STORED[kind](volume.voxels_hu.astype(np.float32)).transpose(0, 2, 1)


@pytest.mark.parametrize("kind", AS_STORED)
def test_a_range_is_recognised_as_what_it_is(phantoms, tmp_path, kind):
    np.savez(tmp_path / "a.npz", stored(phantoms[0], kind))
    form = ArrayForm.stated("data", None, **STATED)
    recognised, decision = read_array(tmp_path / "a.npz", form)
    assert f"recognised as {kind}" in decision.reason
    np.testing.assert_allclose(recognised.voxels_hu, phantoms[0].voxels_hu, atol=1e-2)
    stated, _ = read_array(tmp_path / "a.npz", ArrayForm.stated("data", kind, **STATED))
    np.testing.assert_array_equal(stated.voxels_hu, recognised.voxels_hu)
    for other in set(AS_STORED) - {kind}:
        if (kind, other) == ("unit", "signed"):
            continue  # 0 to 1 lies within -1 to 1; whoever states it is believed
        with pytest.raises(InputError, match=f"which are not {other}; state another range"):
            read_array(tmp_path / "a.npz", ArrayForm.stated("data", other, **STATED))


def test_every_voxel_is_where_it_is_said_to_be(tmp_path):
    """A voxel up, at the left and in front, in an array whose axes run down, to the right and to the front."""
    array = np.full((4, 5, 6), -1000, np.int16)
    array[0, 0, 5] = 700
    np.savez(tmp_path / "a.npz", array[None])
    volume, _ = read_array(tmp_path / "a.npz", ArrayForm.stated("data", "hu", "IRA", [1.5, 0.5, 0.75]))
    assert volume.shape_zyx == (4, 6, 5)
    assert volume.spacing_mm_zyx == (1.5, 0.5, 0.75)
    assert [int(index) for (index,) in np.nonzero(volume.voxels_hu == 700)] == [3, 0, 4]
    place = volume.affine @ [3, 0, 4, 1]
    np.testing.assert_allclose(place[:3], [-1.5, 1.25, 2.25])  # right, front, up of the middle


def test_the_shapes_of_generatect_are_known_and_no_other(tmp_path):
    for shape, spacing in (((201, 512, 512), (1.5, 0.75, 0.75)), ((1, 201, 128, 128), (1.5, 3.0, 3.0))):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("arr_0.npy", npy(np.zeros(shape, np.int8)))
        header = read_array_header(tmp_path / "a.npz", RECOGNISED)
        assert header.shape == shape[-3:]
        np.testing.assert_allclose(np.linalg.norm(header.affine[:3, :3], axis=0), [spacing[0], spacing[2], spacing[1]])
        np.testing.assert_array_equal(np.sign(header.affine[:3, :3].sum(axis=1)), [-1, -1, 1])
    np.savez(tmp_path / "a.npz", np.zeros((200, 512, 512), np.int8))
    with pytest.raises(InputError, match=r"200 × 512 × 512, and nothing says its axes and its spacing; state axes"):
        read_array_header(tmp_path / "a.npz", RECOGNISED)


def npy(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


class Evil:
    def __reduce__(self):
        return (Path("executed").touch, ())


def test_no_file_is_believed_further_than_it_can_be_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    voxels = np.linspace(-1000, 1000, 60, dtype=np.float32).reshape(3, 4, 5)
    declared = BytesIO()
    np.lib.format.write_array_header_1_0(declared, {"descr": "<f4", "fortran_order": False, "shape": (900, 900, 900)})
    huge = BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f4", "fortran_order": False, "shape": (9000, 9000, 9000)})
    nan = voxels.copy()
    nan[0, 0, 0] = np.nan
    cases = {
        "holds object": {"a.npy": npy(np.array([[[Evil()] * 2] * 2] * 2, object))},
        "is too short for the 729000000 values": {"a.npy": declared.getvalue() + bytes(100)},
        "expected at most": {"a.npy": huge.getvalue()},
        "damaged, cannot be read as": {"a.npy": npy(voxels)[:-9]},
        "holds more than its header says": {"a.npy": npy(voxels) + b"more"},
        "found a, b; save the volume alone": {"a.npy": npy(voxels), "b.npy": npy(voxels)},
        "found none": {"labels.npy": npy(np.zeros(18))},
        "no header that can be read": {"a.npy": b"PK rubbish"},
        "NaN or infinite": {"a.npy": npy(nan)},
        "no range has air": {"a.npy": npy(np.full((3, 4, 5), 0.5) + np.arange(5) * 0.01)},
    }
    for message, members in cases.items():
        with zipfile.ZipFile("x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(InputError, match=message) as refused:
            read_array(Path("x.npz"), ArrayForm.stated("data", None, **STATED))
        assert str(refused.value).count("x.npz") == 1
        assert "\n" not in str(refused.value)
    Path("x.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read_array(Path("x.npz"), RECOGNISED)
    Path("y.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read_array(Path("y.npz"), RECOGNISED)
    assert not Path("executed").exists()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_anywhere_in_a_file_is_told_in_one_line(tmp_path, save):
    """Of a byte that is another, and of an end that is missing; what is read in spite of it is a volume."""
    draw = np.random.default_rng(0)
    array, form = draw.integers(-1000, 1000, (3, 8, 8), np.int16), ArrayForm.stated("data", "hu", **STATED)
    save(tmp_path / "whole.npz", array)
    whole, path, refused = (tmp_path / "whole.npz").read_bytes(), tmp_path / "a.npz", list[str]()
    for place in range(0, len(whole), 2):
        changed = bytearray(whole)
        changed[place] ^= int(draw.integers(1, 256))
        for content in (bytes(changed), whole[:place]):
            path.write_bytes(content)
            try:
                assert read_array(path, form)[0].voxels_hu.size == array.size
            except InputError as error:
                refused.append(str(error))
    assert len(refused) > len(whole) // 2
    assert all(str(path) in line and "\n" not in line for line in refused)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(InputError, match="not a file"):
        read_array_header(tmp_path / "a.npz", RECOGNISED)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"range": "hounsfield"}, r"data\.range=hounsfield: expected one of hu, unit, signed"),
        ({"axes": "SSP"}, r"data\.axes=SSP: expected one of R or L"),
        ({"axes": "SL"}, r"data\.axes=SL: expected"),
        ({"spacing_mm": [1.5, 0.75]}, r"data\.spacing_mm=\[1\.5, 0\.75\]: expected three lengths"),
        ({"spacing_mm": [1.5, 0.75, 0.0]}, r"expected three lengths of 0\.1 to"),
        ({"spacing_mm": "1.5"}, r"expected three lengths"),
    ],
)
def test_what_cannot_be_stated_is_one_line(dataset, stated, message):
    with pytest.raises(InputError, match=message):
        NpzLayout(root=str(dataset), table=str(dataset / "table.csv"), **stated)


def test_pairs_of_a_dataset(dataset, phantoms):
    layout = NpzLayout(root=str(dataset), table=str(dataset / "table.csv"), label_columns=LABELS, **STATED)
    pairs, made = ArchivePairs(layout=layout, assume_axes="SLP"), PhantomPairs(num=NUM, seed=5)
    assert len(pairs) == NUM
    for number in range(NUM):
        assert pairs.text(number) == made.text(number)
        assert pairs.labels(number) == {name: made.labels(number)[name] for name in LABELS}
        np.testing.assert_allclose(pairs.volume(number).voxels_hu, phantoms[number].voxels_hu, atol=1e-2)
    assert len({pairs.patient(number) for number in range(NUM)}) == NUM


def test_a_table_that_does_not_fit_its_files_is_said(dataset, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("volume,text\nv0,Clear.\nv9,Clear.\nv1,nan\n")
    manifest = NpzLayout(root=str(dataset), table=str(table)).read()
    assert [record.name for record in manifest.records] == ["v0"]
    assert [(entry.name, entry.reason) for entry in manifest.left_out] == [("v9", "no file"), ("v1", "no report")]
    table.write_text("volume,text\nv0,Clear.\nv0.npz,Clear.\n")
    with pytest.raises(InputError, match="row 2: volume 'v0' is empty or was there before"):
        NpzLayout(root=str(dataset), table=str(table)).read()
    table.write_text("who,what\nv0,Clear.\n")
    with pytest.raises(InputError, match="none of the columns volume"):
        NpzLayout(root=str(dataset), table=str(table)).read()


def test_the_table_says_whose_volumes_they_are_and_who_validates(dataset, tmp_path):
    """In any case, as its other columns; a patient who is not read would be on both sides."""
    table = tmp_path / "t.csv"
    table.write_text(
        "Name,Text,Patient,Split\nD:\\made\\v0.npz,A.,Mu\u0308ller,val\nv1,B.,M\u00fcller,\nv2,C.,,Training\n"
    )
    records = NpzLayout(root=str(dataset), table=str(table)).read().records
    assert [(record.name, record.split) for record in records] == [("v0", "val"), ("v1", None), ("v2", "train")]
    assert [record.patient for record in records] == ["M\u00fcller", "M\u00fcller", "synthetic-v2"]
    for cells, message in (
        ("1.2E+11,val", "row 1: patient '1.2E.11' is a long number"),
        ("p,test", "row 1: column split"),
    ):
        table.write_text(f"name,text,patient,split\nv0,A.,{cells}\n")
        with pytest.raises(InputError, match=message):
            NpzLayout(root=str(dataset), table=str(table)).read()
    table.write_text("name,text,Effusion\nv0,A.,yes\n")
    with pytest.raises(InputError, match="row 1: Effusion='yes'; expected 0 or 1"):
        NpzLayout(root=str(dataset), table=str(table), label_columns=["Effusion"]).read()


def test_linked_folders_are_searched_as_everywhere(dataset, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(dataset)
    layout = NpzLayout(root=str(tmp_path / "root"), table=str(dataset / "table.csv"))
    assert [record.name for record in layout.read().records] == [f"v{number}" for number in range(NUM)]


def test_the_doctor_reads_it(command, dataset, tmp_path):
    asked = ("data=npz", f"data.root={dataset}", f"data.table={dataset / 'table.csv'}", f"cache_dir={tmp_path}")
    place = ("data.axes=SLP", "data.spacing_mm=[12.5625,8,8]", f"output={tmp_path / 'd'}", "voxels=true")
    ended = command("doctor", *asked, *place)
    assert ended.code == 0, ended.err + ended.out
    ended = command("doctor", *asked, f"output={tmp_path / 'e'}")
    assert ended.code == 1
    assert "nothing says its axes and its spacing" in (tmp_path / "e" / "doctor.json").read_text()


def test_evaluate_compares_arrays_with_nifti(command, dataset, phantoms, tmp_path):
    (tmp_path / "real").mkdir()
    for number, volume in enumerate(phantoms):
        write_nifti(tmp_path / "real" / f"v{number}.nii.gz", CTVolume(volume.voxels_hu + 1, volume.affine))
    asked = (f"real={tmp_path / 'real'}", f"fake={dataset}", "metrics=[hu_histogram,psnr]", f"output={tmp_path / 'e'}")
    place = ("arrays.axes=SLP", "arrays.spacing_mm=[12.5625,8,8]", "device=cpu", f"cache_dir={tmp_path}")
    ended = command("evaluate", *asked, *place)
    assert ended.code == 0, ended.err
    results = json.dumps(json.loads((tmp_path / "e" / "results.json").read_text()))
    assert '"psnr"' in results
    ended = command("evaluate", *asked, "device=cpu", f"cache_dir={tmp_path}")
    assert ended.code == 2
    assert "4 of 4 volumes cannot be used" in ended.err


def test_utility_trains_on_it(dataset):
    wanted = Synthetic(root=str(dataset), arrays=STATED)
    items = read_synthetic(wanted, NUM, LABELS)
    made = PhantomPairs(num=NUM, seed=5)
    assert [item.labels for item in items] == [{name: made.labels(i)[name] for name in LABELS} for i in range(NUM)]
    with pytest.raises(InputError, match="synthetic"):
        read_synthetic(Synthetic(root=str(dataset), arrays={"shape": 3}), NUM, LABELS)
