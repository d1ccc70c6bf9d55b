"""Stage `ctnet` through the real command: it learns, goes on bit for bit, and it says what it finds."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from generatect.checkpoints.stage_file import EMA_KEY
from generatect.checkpoints.weights import SHIPPED
from generatect.config.scores import read_scores
from generatect.ct.preset import PhysicalPreset
from generatect.ct.resample import resample_to_grid
from generatect.ct.volume import CTVolume
from generatect.data.ctnet_data import CTNetData
from generatect.errors import InputError
from generatect.findings import findings, load_classifier
from generatect.phantom.findings import LABELS
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TextToCT
from generatect.stages.ctnet import ranking_scores, shift

AVERAGE = ("callbacks.ema.every=1", "callbacks.ema.start=0")
MANY = ("stage.datamodule.val_fraction=0.5", "~callbacks.previews", "~callbacks.throughput")
PRESET = PhysicalPreset(num_slices=5, size=16, upscaled_size=32)


@pytest.fixture(scope="module")
def trained(train_tiny) -> Path:
    """Folder of four steps, half of the phantoms held out."""
    return train_tiny("ctnet", *AVERAGE, *MANY)


def last_validation(folder: Path) -> dict[str, float]:
    return read_scores(folder / "scores.json").validations[4]


def test_two_steps_resumed_for_two_more_are_four_bit_for_bit(trained, train_tiny):
    half = train_tiny("ctnet", "steps=2", *AVERAGE, *MANY)
    resumed = train_tiny("ctnet", *AVERAGE, *MANY, f"resume={half / 'last.ckpt'}")
    assert (trained / "ctnet.safetensors").read_bytes() == (resumed / "ctnet.safetensors").read_bytes()
    one, other = (torch.load(folder / "last.ckpt", weights_only=True) for folder in (trained, resumed))
    for part in ("state_dict", EMA_KEY):
        assert all(torch.equal(value, other[part][key]) for key, value in one[part].items())
    assert last_validation(trained) == last_validation(resumed)


def test_training_moves_every_weight(trained, train_tiny):
    eight = train_tiny("ctnet", "steps=8", *MANY)
    one, other = (torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in (trained, eight))
    assert {key.split(".")[0] for key in one} == {"ctnet"}
    stayed = {key.rpartition(".")[2] for key, value in one.items() if torch.equal(value, other[key])}
    assert stayed <= {"num_batches_tracked"}  # of torch's batch norm; ours has no use for it


def test_the_loss_falls_on_what_is_learned_by_heart(command, tmp_path):
    small = ("model=tiny", "data.pairs.num=20", "steps=20", "val_every=20", "trainer.accelerator=cpu", *MANY[1:])
    rate = ("debug=overfit", "stage.module.optimizer.lr=1e-2")
    ended = command("train", "stage=ctnet", *rate, *small, f"output={tmp_path}")
    assert ended.code == 0, ended.err
    assert "overfit: dropout_prob is 0 instead of 0.1" in ended.out
    assert "it fell (below" in ended.out


def test_file_and_checkpoint_find_the_same_and_it_is_what_was_validated(trained):
    """The table of the last validation was computed in training, from averaged weights."""
    classifiers = [load_classifier(trained / name) for name in ("ctnet.safetensors", "last.ckpt", "")]
    assert all(classifier.labels == LABELS for classifier in classifiers)
    pairs = PhantomPairs(num=20)
    with (trained / "tables" / "step-0000004.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 5
    for row in rows:
        index = [pairs.name(number) for number in range(20)].index(row["name"])
        volume = PRESET.to_volume(pairs.model_input(index, PRESET))
        found = [findings(classifier, volume) for classifier in classifiers]
        assert found[0] == found[1] == found[2]
        assert list(found[0]) == list(LABELS)
        for label, probability in found[0].items():
            assert probability == pytest.approx(float(row[label]), abs=1e-5)


def test_a_finer_grid_elsewhere_is_the_same_chest(trained):
    classifier, pairs = load_classifier(trained), PhantomPairs(num=1, noise_hu=0.0)
    coarse = PRESET.to_volume(pairs.model_input(0, PRESET))
    fine = resample_to_grid(coarse, PRESET.upscaled_grid)
    elsewhere = np.array([[1, 0, 0, 50], [0, 1, 0, -9], [0, 0, 1, 7], [0, 0, 0, 1]]) @ fine.affine
    moved = CTVolume(fine.voxels_hu, elsewhere)
    ours, theirs = findings(classifier, coarse), findings(classifier, moved)
    assert all(ours[label] == pytest.approx(theirs[label], abs=0.02) for label in LABELS)


def test_the_scores_are_those_of_counting_pairs(trained):
    """AUROC once more: the share of pairs of a positive and a negative that the network ranks rightly."""
    classifier, pairs = load_classifier(trained), PhantomPairs(num=20)
    data = CTNetData(pairs=pairs, preset=PRESET, label_names=LABELS, val_fraction=0.5)
    found = [findings(classifier, PRESET.to_volume(pairs.model_input(index, PRESET))) for index in data.val_indices]
    areas = {}
    for label in LABELS:
        sides = [[], []]
        for index, probabilities in zip(data.val_indices, found, strict=True):
            sides[pairs.labels(index)[label]].append(probabilities[label])
        if min(map(len, sides)) >= 2:
            ranked = [(high > low) + 0.5 * (high == low) for low, high in itertools.product(*sides)]
            areas[label] = sum(ranked) / len(ranked)
    scores = last_validation(trained)
    assert len(areas) > 5
    assert {key for key in scores if key.startswith("val/auroc/")} == {f"val/auroc/{label}" for label in areas}
    for label, value in areas.items():
        assert scores[f"val/auroc/{label}"] == pytest.approx(value, abs=0.03)  # near ties
    assert scores["val/auroc"] == pytest.approx(np.mean([scores[f"val/auroc/{label}"] for label in areas]))


def test_a_label_that_nearly_all_have_or_lack_has_no_score():
    labels = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)
    scores = ranking_scores(np.array([[3.0, 0, 4], [2, 0, 3], [1, 0, 2], [0, 0, 1]]), labels, ("A", "B", "C"))
    assert scores == {
        "val/auroc": 0.75,
        "val/auroc/C": 0.75,
        "val/average_precision": pytest.approx(5 / 6),
        "val/average_precision/C": pytest.approx(5 / 6),
    }
    assert ranking_scores(np.zeros((2, 1)), np.ones((2, 1), dtype=bool), ("A",)) == {}


@pytest.mark.parametrize("offset", [(0, 0, 0), (1, -2, 3), (-1, 2, -3), (9, 0, 0), (0, -9, 0)])
def test_a_shifted_volume_moves_and_air_comes_in(offset):
    volume = torch.rand(1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    shifted = shift(volume, list(offset))
    for place in itertools.product(range(4), range(5), range(6)):
        source = tuple(to - step for to, step in zip(place, offset, strict=True))
        inside = all(0 <= at < size for at, size in zip(source, (4, 5, 6), strict=True))
        assert shifted[(0, *place)] == (volume[(0, *source)] if inside else -1)


def test_some_labels_alone(train_tiny):
    output = train_tiny("ctnet", "+model.ctnet.labels=[Emphysema,Cardiomegaly]", "steps=1", *MANY)
    assert load_classifier(output).labels == ("Emphysema", "Cardiomegaly")


def test_data_without_the_labels_are_refused_in_one_line(command, real_ct_dir, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("volume,patient,text\nchest_a,a,Clear lungs.\nchest_b,b,Nodule.\n")
    data = ("data=folder", f"data.root={real_ct_dir}", f"data.table={table}", f"output={tmp_path / 'out'}")
    for overrides, message in (
        (data, "the data have no labels to learn; name their columns"),
        (("data=phantom", "+model.ctnet.labels=[Gout]", "data.pairs.num=20"), "has no label 'Gout'"),
    ):
        ended = command("train", "stage=ctnet", "model=tiny", "steps=1", *overrides)
        assert ended.code == 2
        assert message in ended.err
        assert ended.err.count("\n") == 1


def test_one_volume_without_labels_is_named():
    class Incomplete(PhantomPairs):
        def labels(self, index: int) -> dict[str, int] | None:
            return None if index == 7 else super().labels(index)

    data = CTNetData(pairs=Incomplete(num=20), preset=PRESET, label_names=LABELS, val_fraction=0.0)
    with pytest.raises(InputError, match=r"phantom-000007: has no label 'Medical material'.*its labels: none"):
        data.setup()


def test_what_compares_made_volumes_is_refused(command, tmp_path):
    settings = ("model=tiny", "data.pairs.num=60", "callbacks=[default,fid]", "trainer.accelerator=cpu")
    ended = command("train", "stage=ctnet", *settings, *MANY[:1], f"output={tmp_path}")
    assert ended.code == 2
    assert "stage 'ctnet' makes no volumes" in ended.err


def test_a_file_of_another_stage_is_no_classifier_and_a_classifier_no_model(trained):
    with pytest.raises(InputError, match=r"no ctnet.safetensors in this folder"):
        load_classifier(SHIPPED["phantom"], setting="gate.classifier")
    with pytest.raises(InputError, match=r"gate.classifier=.*stage 'ctvit', expected stage 'ctnet'"):
        load_classifier(SHIPPED["phantom"] / "ctvit.safetensors", setting="gate.classifier")
    with pytest.raises(InputError, match=r"no ctvit.safetensors in this folder"):
        TextToCT.load(str(trained), "cpu")
