"""The command: exit codes, what it writes, and what it never writes."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.data.safe_csv import write_csv
from generatect.data.split import split_by_patient
from generatect.phantom.case import sample_case
from generatect.phantom.render import render

GRID = Grid((76, 96, 96), (301.5 / 76, 3.0, 3.0))
HEADER_FIELDS = {"descrip": "Zqdescrip", "aux_file": "Zqauxfile", "db_name": "Zqdbname", "intent_name": "Zqintent"}
EXTENSION, REPORT, FOLDER = "Zqextension", "Zqreport", "Zqfolder"
PLANTED = [*HEADER_FIELDS.values(), EXTENSION, REPORT, FOLDER]
HOSTILE = "<script>alert(1)<|script>[red]"


def write_planted(path: Path, seed: int) -> None:
    """A phantom whose header's free text is planted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(path, render(sample_case(seed, 0.2, seed), GRID, noise_hu=20.0))
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj).astype(np.int16)
    for field, text in HEADER_FIELDS.items():
        image.header[field] = text.encode()
    image.header.extensions.append(Nifti1Extension("comment", EXTENSION.encode()))
    nib.save(nib.Nifti1Image(voxels, image.affine, image.header), path)


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Two sound scans, one of a name that is markup to a browser and to the terminal."""
    folder = tmp_path_factory.mktemp("scans") / FOLDER
    write_planted(folder / "sound.nii.gz", 1)
    write_planted(folder / f"{HOSTILE}.nii.gz", 2)
    return folder


@pytest.fixture
def archive(scans, tmp_path):
    """Function that copies the scans, may spoil them, and returns the settings that name them."""

    def make(spoil=lambda root: None, rows: list[dict] | None = None) -> list[str]:
        root = tmp_path / FOLDER
        shutil.copytree(scans, root)
        spoil(root)
        table = [
            {"volume": "sound", "patient": "p", "text": f"{REPORT}: heart and lungs are normal.", "split": "train"},
            {"volume": HOSTILE, "patient": "q", "text": f"{REPORT}: lungs and heart are normal.", "split": "val"},
            *(rows or []),
        ]
        with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
        where = ["data=folder", f"data.root={root}", f"data.table={tmp_path / 'table.csv'}"]
        return [*where, "data.missing_text=leave_out", f"output={tmp_path / 'out'}", f"cache_dir={tmp_path / 'cache'}"]

    return make


def everything(*folders: Path) -> str:
    """All that lies in the folders, names of files included."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return "".join(path.name + path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("voxels", ["true", "false"])
def test_a_sound_archive_may_be_trained_on(command, archive, tmp_path, voxels):
    ended = command("doctor", *archive(), f"voxels={voxels}", "workers=2")
    assert ended.code == 0, ended.err + ended.out
    assert "Training may start" in ended.out
    assert "2 volumes" in ended.out
    content = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert content["training_may_start"] is True
    assert content["findings"] == []
    assert content["counts"]["splits"] == {"train": 1, "val": 1}
    assert all(file["voxels"] is not None for file in content["files"]) == (voxels == "true")


def test_errors_end_with_1_and_are_named(command, archive, tmp_path):
    def truncate(root: Path) -> None:
        path = root / f"{HOSTILE}.nii.gz"
        path.write_bytes(path.read_bytes()[:-1000])

    silent = [{"volume": "lost", "patient": "r", "text": "", "split": "train"}]
    ended = command("doctor", *archive(truncate, silent), "voxels=true")
    assert ended.code == 1
    assert "Training may not start" in ended.out
    assert "damaged-file" in ended.out
    assert "<script>" in ended.out
    assert "[red]" in ended.out  # taken as it stands, not as markup
    assert "no-report" in ended.out
    content = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert [(f["code"], f["name"]) for f in content["findings"]] == [("no-report", "lost"), ("damaged-file", HOSTILE)]
    page = (tmp_path / "out" / "doctor.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_planted_strings_are_in_nothing_that_is_written_or_printed(command, archive, tmp_path):
    ended = command("doctor", *archive(), "voxels=true")
    written = everything(tmp_path / "out", tmp_path / "cache") + ended.out.replace(str(tmp_path), "") + ended.err
    assert len(written) > 5000
    assert [text for text in PLANTED if text in written] == []


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["workers=0"], "workers=0: expected auto, or a number from 1"),
        (["workers=many"], "workers=many: expected auto"),
        (["voxels=maybe"], "voxels: 'maybe' is not of the expected type bool"),
        (["data.root=/no/such/folder"], "data.root=/no/such/folder: not a folder"),
        (["text_encoder=nothing"], "text_encoder=nothing: no such choice"),
    ],
)
def test_a_wrong_command_ends_with_2(command, archive, tmp_path, overrides, part):
    ended = command("doctor", *archive(), *overrides)
    assert ended.code == 2
    assert ended.err.startswith("generatect.doctor: ")
    assert part in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_computed_pairs_have_nothing_to_inspect(command, tmp_path):
    ended = command("doctor", "data=phantom", f"output={tmp_path / 'out'}")
    assert ended.code == 2
    assert "computed" in ended.err


def test_training_refuses_what_the_doctor_refuses(command, archive, tmp_path):
    settings = archive(lambda root: (root / "sound.nii.gz").write_bytes(b"garbled"))
    quick = ["model=tiny", "steps=1", "trainer.accelerator=cpu", "stage.datamodule.batch_size=1"]
    ended = command("train", *settings, *quick)
    assert ended.code == 2
    assert ended.err.startswith("generatect.train: data: the doctor refuses 1 of 2 volumes, first sound: ")
    assert ended.err.count("\n") == 1
    assert FOLDER not in ended.err
    assert not (tmp_path / "out").exists()


def test_training_refuses_one_scan_of_two_patients_whom_the_draw_parts(command, archive, tmp_path):
    """The doctor, who knows of no draw, warns; training, which draws, does not begin."""
    settings, patients = archive(), [f"patient-{number}" for number in range(20)]
    sides = split_by_patient(patients, val_fraction=0.5, seed=3)
    one, other, third = (patients[sides[side][place]] for side, place in (("train", 0), ("val", 0), ("train", 1)))
    stored = gzip.decompress((tmp_path / FOLDER / "sound.nii.gz").read_bytes())
    (tmp_path / FOLDER / "again.nii").write_bytes(stored)
    rows = [("sound.nii.gz", one), ("again.nii", other), (f"{HOSTILE}.nii.gz", third)]
    write_csv(tmp_path / "table.csv", ("volume", "patient", "text"), [(*row, f"{REPORT} is normal.") for row in rows])
    ended = command("doctor", *settings)
    assert ended.code == 0, ended.err
    assert "Same volume under two patients" in ended.out
    quick = ["model=tiny", "steps=1", "trainer.accelerator=cpu", "stage.datamodule.val_fraction=0.5", "seed=3"]
    ended = command("train", *settings[:-2], *quick, f"output={tmp_path / 'run'}", settings[-1])
    assert ended.code == 2
    assert "same volume in training and validation (train and val: the same as sound" in ended.err
    assert not (tmp_path / "run").exists()
