"""The whole study on small phantoms: its table, how it goes on after a kill, and what it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from generatect.ct.nifti import write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.data.safe_csv import write_csv
from generatect.phantom.pairs import PhantomPairs

LABELS = ["Medical material", "Cardiomegaly"]
"""The two that are easily learned at 5 × 16 × 16 voxels: a bright one and a large one."""
SMALL = ("model=tiny", f"labels=[{','.join(LABELS)}]", "trainer.accelerator=cpu", "resamples=200")
QUICK = (*SMALL, "data.pairs.num=30", "steps=3", "seeds=[0,1]", "synthetic.tokens.steps=1", "synthetic.batch_size=4")
NUM_DATASET = 60


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """A folder as `generate prompts=` writes it, of phantoms of another series: the work of a perfect generator."""
    folder, pairs = tmp_path_factory.mktemp("dataset"), PhantomPairs(num=NUM_DATASET, seed=8)
    preset, rows = PhysicalPreset(num_slices=17, size=24, upscaled_size=24), []
    for index in range(NUM_DATASET):
        volume = preset.to_volume(pairs.model_input(index, preset))
        write_nifti(folder / f"{index:06d}.nii.gz", volume, description="test")
        labels = [pairs.labels(index)[name] for name in LABELS]
        rows.append([f"{index:06d}.nii.gz", f"synthetic-{index}", pairs.text(index), *labels])
    write_csv(folder / "table.csv", ["volume", "patient", "text", *LABELS], rows)
    return folder


@pytest.fixture(scope="module")
def learned(command, dataset, tmp_path_factory) -> tuple[Path, str]:
    """Output of a study long enough to learn something, and what it printed."""
    folder = tmp_path_factory.mktemp("learned")
    ended = command(
        *("utility", *SMALL, "data.pairs.num=130", "num_train=60", "num_test=40", "steps=90", "seeds=[0]"),
        *(f"synthetic.root={dataset}", "sets=[real,synthetic,both]", "stage.module.optimizer.lr=5e-3"),
        *("stage.module.shift_voxels=0", "stage.module.warmup_steps=10"),
        f"output={folder}",
    )
    assert ended.code == 0, ended.err
    return folder, ended.out


def test_classifiers_learn_and_a_perfect_generator_is_worth_as_much_as_patients(learned):
    folder, said = learned
    content = json.loads((folder / "utility.json").read_text(encoding="utf-8"))
    found = {(each["training_set"], each["finding"], each["metric"]): each for each in content["scores"]}
    assert found["real", "mean", "auroc"]["score"]["value"] > 0.8
    assert found["synthetic", "mean", "auroc"]["score"]["value"] > 0.8
    difference = found["both", "mean", "auroc"]["minus_real"]
    real, both = (found[name, "mean", "auroc"]["score"]["value"] for name in ("real", "both"))
    assert difference["value"] == pytest.approx(both - real)
    assert "real alone, mean AUROC" in said
    assert "PHANTOM" in said


def test_what_the_files_hold(learned):
    folder, _ = learned
    protocol = json.loads((folder / "utility.json").read_text(encoding="utf-8"))["protocol"]
    assert (protocol["num_train"], protocol["num_test"]) == (60, 40)
    assert protocol["sets"] == {
        "real": {"real": 60, "synthetic": 0},
        "synthetic": {"real": 0, "synthetic": 60},
        "both": {"real": 60, "synthetic": 60},
    }
    with (folder / "utility.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 3 * 2  # sets, findings and their mean, metrics
    for row in rows:
        assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
        assert (row["minus_real"] == "") == (row["training_set"] == "real")
    page = (folder / "utility.md").read_text(encoding="utf-8")
    assert all(f"| {name} |" in page for name in ("real", "synthetic", "both", *LABELS))


def cells(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "cells").glob("*.json")}


def test_a_study_that_was_killed_ends_as_one_that_was_not(command, tiny_weights, tmp_path):
    own = (*QUICK, f"synthetic.weights={tiny_weights}", "sets=[real,synthetic,real + 2x synthetic]")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "generatect.utility", *own, f"output={killed}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and len(list((killed / "cells").glob("[!.]*.json"))) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in (killed / "cells").glob("[!.]*.json")}
    assert 2 <= len(before) < 6

    ended, uninterrupted = (command("utility", *own, f"output={folder}") for folder in (killed, whole))
    assert ended.code == uninterrupted.code == 0, ended.err + uninterrupted.err
    assert f"{len(before)} there from before" in ended.out
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was done is kept"
    assert cells(killed) == cells(whole)
    assert len(cells(whole)) == 6
    for name in ("utility.csv", "utility.md"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()

    again = command("utility", *own, f"output={whole}")
    assert "6 there from before" in again.out
    assert "to make" not in again.out
    changed = command("utility", *own, "steps=4", f"output={whole}")
    assert "0 there from before" in changed.out, "another training's scores are not kept"


def test_a_finding_without_positives_is_a_dash_and_named(command, tmp_path):
    ended = command("utility", *QUICK, "seeds=[0]", "sets=[real]", "num_test=2", f"output={tmp_path}")
    assert ended.code == 0, ended.err
    assert "not judged, fewer than 2 test volumes have it, or lack it: Medical material" in ended.out
    assert "| Medical material |" in (tmp_path / "utility.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    """Of studies that are refused: what real volumes they have made before need be made once alone."""
    return tmp_path_factory.mktemp("refused")


def refused(command, output, *overrides: str) -> str:
    ended = command("utility", *QUICK, f"output={output}", *overrides)
    assert ended.code == 2
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1, ended.err
    return lines[0]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["sets=[synthetic]"], "expected real"),
        (["sets=[real,fake]"], "'fake' is no training set"),
        (["labels=[Fracture]"], "labels: 'Fracture' is none of the real volumes'; they have Medical material"),
        (["seeds=[]"], "seeds=[]: expected one or more"),
        (["seeds=[1,1]"], "different"),
        (["resamples=5"], "resamples=5: expected at least 100"),
        (["num_test=0"], "num_test=0: expected at least 1"),
        (["test_fraction=0.0"], "to test on; change test_fraction=0"),
        (["steps=0"], "steps=0: expected at least 1"),
        (["stage=ctvit"], "stage=ctvit: the study trains classifiers"),
        (["synthetic.table=x.csv"], "synthetic.table: needs the folder"),
        (["synthetic.rot=x"], "synthetic.rot"),
        (["synthetic.tokens.steps=many"], "synthetic.tokens.steps"),
        (["model.ctnet.labels=[a]"], "model.ctnet.labels"),
    ],
)
def test_settings_that_cannot_be(command, output, overrides, said):
    assert said in refused(command, output, *overrides)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        (
            ["volume", "patient", "text"],
            [],
            "2 of the 2 labels of the real volumes are no columns of it, first",
        ),
        (["volume", "patient", "text", "Cardiomegaly"], [1], "1 of the 2 labels"),
        (["volume", "patient", "text", *LABELS], [1, 2], "expected 0 or 1"),
        (["volume", "patient", "text", *LABELS], [1, 0], "has 1 volumes and the sets need"),
    ],
)
def test_datasets_that_cannot_be_used(command, output, dataset, tmp_path, header, row, said):
    table = tmp_path / "table.csv"
    write_csv(table, header, [["000000.nii.gz", "synthetic-0", "Normal.", *row]])
    message = refused(command, output, f"synthetic.root={dataset}", f"synthetic.table={table}")
    assert said in message
    assert "Normal." not in message


def test_an_empty_dataset(command, output, dataset, tmp_path):
    table = tmp_path / "table.csv"
    write_csv(table, ["volume", "patient", "text", *LABELS], [])
    assert "no rows" in refused(command, output, f"synthetic.root={dataset}", f"synthetic.table={table}")


def test_a_test_patient_among_the_synthetic_volumes(command, output, dataset, tmp_path):
    real = PhantomPairs(num=30, seed=910)
    rows = [[f"{index:06d}.nii.gz", real.patient(index % 30), "Normal.", 1, 0] for index in range(NUM_DATASET)]
    table = tmp_path / "table.csv"
    write_csv(table, ["volume", "patient", "text", *LABELS], rows)
    message = refused(command, output, f"synthetic.root={dataset}", f"synthetic.table={table}")
    assert "is one of the test patients'" in message
