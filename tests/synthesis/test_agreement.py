"""The gate that asks a classifier: it turns back volumes that do not show what their prompt's labels say."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from generatect.ct.quality import QualityLimits
from generatect.ct.volume import CTVolume
from generatect.data.prompts import Prompt
from generatect.errors import InputError
from generatect.files import sha256_of_file
from generatect.findings import load_classifier
from generatect.phantom.pairs import PhantomPairs
from generatect.synthesis.agreement import Agreement, agreement, asked_labels
from generatect.synthesis.gate import Gate

LABEL = "Cardiomegaly"
UNSEEN = PhantomPairs(num=24, seed=77)
NO_LIMITS = QualityLimits((-2e3, 2e3), (-2e3, 4e3), (0.0, 1.0), (0.0, 1.0), 0.0, 1.0, 9.0)
"""The smallest grid has no lungs, and two steps make no chest."""


@pytest.fixture(scope="module")
def classifier_file(train_tiny, tmp_path_factory) -> Path:
    """Of a classifier of a finding that shows on the smallest grid."""
    data = ("data.pairs.num=100", f"data.cache_dir={tmp_path_factory.mktemp('volumes')}", "~callbacks.previews")
    long = ("steps=40", "val_every=40", "stage.datamodule.batch_size=16", "stage.module.optimizer.lr=1e-2")
    quick = ("stage.averaged=[]", "stage.module.shift_voxels=0", "~callbacks.throughput")
    return train_tiny("ctnet", f"+model.ctnet.labels=[{LABEL}]", *data, *long, *quick) / "ctnet.safetensors"


@pytest.fixture(scope="module")
def volumes(classifier_file) -> list[CTVolume]:
    preset = load_classifier(classifier_file).preset
    return [preset.to_volume(UNSEEN.model_input(index, preset)) for index in range(len(UNSEEN))]


def prompt(index: int, *, wrong: bool = False) -> Prompt:
    """The prompt of a phantom, or one with the opposite labels."""
    return Prompt("x", "A report.", {"age": "61", LABEL: str(UNSEEN.labels(index)[LABEL] ^ wrong)})


def test_volumes_with_labels_of_the_opposite_are_turned_back_and_true_ones_pass(classifier_file, volumes):
    gate = Gate(1, NO_LIMITS, Agreement(load_classifier(classifier_file), 0.7))
    true = [gate.look_at(volume, prompt(index)) for index, volume in enumerate(volumes)]
    planted = [gate.look_at(volume, prompt(index, wrong=True)) for index, volume in enumerate(volumes)]
    assert sum(not found for found, _ in true) >= 22
    assert sum(bool(found) for found, _ in planted) >= 22
    for (_, right), (found, wrong) in zip(true, planted, strict=True):
        assert right["agreement"] + wrong["agreement"] == pytest.approx(1, abs=2e-4)
        assert not found or found[0].startswith("agreement with the labels 0.")


def test_what_is_no_chest_is_not_asked_about(classifier_file, volumes):
    gate = Gate(1, QualityLimits(), Agreement(load_classifier(classifier_file), 0.0))
    empty = CTVolume(np.full_like(volumes[0].voxels_hu, -1000), volumes[0].affine)
    found, measured = gate.look_at(empty, prompt(0))
    assert found
    assert measured == {}


def test_agreement_in_closed_form():
    assert agreement({"A": 1.0, "B": 0.0}, {"A": 1, "B": 0}) == 1
    assert agreement({"A": 1.0, "B": 0.0}, {"A": 0, "B": 1}) == 0
    assert agreement({"A": 0.9, "B": 0.2, "C": 0.5}, {"A": 1, "B": 0}) == pytest.approx(1 - (0.1 + 0.2) / 2)


def test_cells_of_neither_0_nor_1_ask_for_nothing():
    columns = {"A": "1", "B": "0.0", "C": "", "D": "yes", "E": "1"}
    assert asked_labels(columns, ["A", "B", "C", "D", "F"]) == {"A": 1, "B": 0}


def test_a_dataset_keeps_what_shows_its_labels_and_says_so(command, classifier_file, tmp_path):
    """One prompt twice; the second time its label says the opposite of its text."""
    table, folder = tmp_path / "prompts.csv", tmp_path / "d"
    table.write_text(
        f"name,prompt,{LABEL}\ntrue,61 years old male: Severe cardiomegaly.,1\n"
        "planted,61 years old male: Severe cardiomegaly.,0\n"
    )
    limits = [
        f"gate.limits.{key}={list(value) if isinstance(value, tuple) else value}"
        for key, value in asdict(NO_LIMITS).items()
    ]
    quick = ("tokens.steps=2", "upscale.steps=1", "device=cpu", "gate.max_attempts=2", *limits)
    settings = (f"prompts={table}", f"output={folder}", *quick, f"gate.classifier={classifier_file}")
    ended = command("generate", *settings)
    assert ended.code == 0, ended.err
    assert "1 prompts never passed" in ended.out
    with (folder / "rejected.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["attempts"]) == ("planted", "2")
    assert "agreement with the labels 0." in row["last attempt"]
    (line,) = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert line["classifier_sha256"] == sha256_of_file(classifier_file)
    assert 0.8 <= line["agreement"] <= 1
    assert json.loads((folder / "true.json").read_text())["agreement"] == line["agreement"]
    assert "agrees with the labels of what passed" in (folder / "README.md").read_text()
    again = command("generate", *settings)
    assert "1 of 2 volumes are there from before" in again.out
    assert "1 prompts never passed" in again.out


def test_what_the_classifier_cannot_judge_is_refused_in_one_line(command, classifier_file, tmp_path):
    plain = tmp_path / "plain.csv"
    plain.write_text("name,prompt\nx,Normal chest.\n")
    asked = f"gate.classifier={classifier_file}"
    for overrides, message in (
        ((f"prompts={plain}", asked), "prompt 'x' has none of its labels as a column of 0 or 1"),
        (("prompt=Normal chest.", asked), "gate.classifier: a single prompt has no labels"),
        ((f"prompts={plain}", "gate.classifier=none.safetensors"), "gate.classifier=none.safetensors: no such file"),
        ((f"prompts={plain}", asked, "gate.agreement=1.5"), "gate.agreement=1.5: expected 0 to 1"),
        ((f"prompts={plain}", "+gate.prompts=[]"), "gate.prompts: no such setting"),
    ):
        ended = command("generate", *overrides, f"output={tmp_path / 'out'}")
        assert ended.code == 2
        assert message in ended.err
        assert ended.err.count("\n") == 1
    with pytest.raises(InputError, match="agreement=-1"):
        Agreement(load_classifier(classifier_file), -1.0)
