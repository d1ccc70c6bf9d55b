"""Which volumes are trained and judged on: no patient on both sides, labels in order, synthetic ones of reports."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from generatect.ct.nifti import write_nifti
from generatect.ct.preset import PhysicalPreset
from generatect.data.archive import ArchivePairs
from generatect.data.cache import ArrayCache
from generatect.data.manifest import Manifest, Record
from generatect.errors import InputError
from generatect.phantom.findings import FINDINGS
from generatect.phantom.pairs import PhantomPairs
from generatect.pipeline import TextToCT, TokenOptions
from generatect.utility_study.items import ItemPairs, content_of, items_of, prepared
from generatect.utility_study.kept import cell_path, keep_cell, read_cell
from generatect.utility_study.real import NOT_REAL, labels_of_study, refuse_overlap, refuse_same_volumes, split_real
from generatect.utility_study.synthetic import MadePairs, Synthetic, make_synthetic, prompts_of

REAL = PhantomPairs(num=60, seed=3)
LABELS = list(FINDINGS[::-1])


def split(**changed):
    return split_real(REAL, LABELS, **{"test_fraction": 0.4, "seed": 0, "num_train": None, "num_test": None, **changed})


def test_no_patient_is_on_both_sides():
    real = split()
    train, test = ({item.patient for item in side} for side in (real.train, real.test))
    assert train
    assert test
    assert not train & test
    assert len(real.train) + len(real.test) == len(REAL)
    assert len(train) < len(real.train), "second scans of a patient belong to the test"
    refuse_overlap(real.train, real.test)


def test_as_many_as_are_asked_for():
    whole, few = split(), split(num_train=5, num_test=7)
    assert (len(few.train), len(few.test)) == (5, 7)
    assert content_of(few.train) == content_of(whole.train[:5])


def test_nobody_to_test_on():
    with pytest.raises(InputError, match=r"none of 60 real volumes to test on.*test_fraction=0"):
        split(test_fraction=0.0)


def test_a_test_patient_in_training_is_refused_by_patient_and_by_content():
    real = split()
    with pytest.raises(InputError, match="one of the test patients"):
        refuse_overlap([*real.train, real.test[0]], real.test)
    renamed = PhantomPairs(num=60, seed=3)
    renamed.patient = lambda index: f"somebody-else-{index}"
    renamed.fingerprint = REAL.fingerprint
    with pytest.raises(InputError, match="one of the test patients"):
        refuse_overlap(items_of(renamed, range(60), LABELS, "synthetic"), real.test)


@dataclass
class Stored:
    """Phantoms as files, which a table may list as somebody else's, or as synthetic."""

    folder: Path
    owner: str

    def read(self) -> Manifest:
        files = sorted(self.folder.iterdir())
        labels = dict.fromkeys(LABELS, 0)
        return Manifest([Record(path.name, path, f"{self.owner}-{path.name}", "Clear.", labels) for path in files])


def test_one_scan_in_two_files_is_not_trained_on_and_judged_by(tmp_path):
    """Nor does a real one pass for a synthetic one: their files, patients and names have nothing in common."""
    grid, cache = PhysicalPreset(num_slices=17, size=24, upscaled_size=24), ArrayCache(tmp_path / "cache")
    for name, endings, numbers in (("real", ".nii.gz", range(3)), ("other", ".nii", range(2, 4))):
        (tmp_path / name).mkdir()
        for number in numbers:
            volume = grid.to_volume(REAL.model_input(number, grid))
            write_nifti(tmp_path / name / f"{name}-{number}{endings}", volume, description=name)
    items = []
    for name in ("real", "other"):
        pairs = ArchivePairs(layout=Stored(tmp_path / name, name), hu_policy="already_hu" if name == "real" else "auto")
        listed = items_of(pairs, range(len(pairs)), LABELS, name)
        items.append(prepared(listed, grid, cache, name, "raise", "", lambda *_: None))
    real, other = items
    refuse_overlap(real, other)
    with pytest.raises(InputError, match=r"'other-2.nii': holds the voxels of 'real-2.nii.gz'; a synth"):
        refuse_same_volumes(other, real, grid, cache, NOT_REAL)
    refuse_same_volumes(other[1:], real, grid, cache, NOT_REAL)


def test_what_is_left_out_is_counted_for_its_own_set_and_run(tmp_path, capsys):
    """One damaged volume of three is no half, whatever other sets or earlier runs have left out."""
    grid, cache = PhysicalPreset(num_slices=17, size=24, upscaled_size=24), ArrayCache(tmp_path / "cache")
    (tmp_path / "real").mkdir()
    for number in range(3):
        write_nifti(tmp_path / "real" / f"{number}.nii.gz", grid.to_volume(REAL.model_input(number, grid)))
    (tmp_path / "real" / "1.nii.gz").write_bytes(b"damaged")
    pairs, listed = ArchivePairs(layout=Stored(tmp_path / "real", "a")), tmp_path / "skipped.csv"
    listed.write_text("volume,reason\r\nrepaired.nii.gz,was damaged\r\n")
    usable = prepared(items_of(pairs, range(3), LABELS, "a"), grid, cache, "real", "skip", str(listed), lambda *_: None)
    assert [item.index for item in usable] == [0, 2]
    assert [line.partition(",")[0] for line in listed.read_text().splitlines()] == ["volume", "1.nii.gz"]
    assert capsys.readouterr().out == f"real: 1 of 3 volumes cannot be read and are left out, see {listed}\n"


def test_scores_that_were_changed_are_not_believed(tmp_path):
    path, scores = cell_path(tmp_path, "real", 0), np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    keep_cell(path, "key", scores)
    assert np.array_equal(read_cell(path, "key", (3, 2)), scores)
    assert read_cell(path, "other", (3, 2)) is None
    assert read_cell(path, "key", (2, 3)) is None
    whole = path.read_bytes()
    for damaged in (whole.replace(b"-1.0", b"-1.5"), whole[:-9], b"\xff" + whole, b"[]", b"[" * 100_000, b"{}"):
        path.write_bytes(damaged)
        assert read_cell(path, "key", (3, 2)) is None
    path.unlink()
    path.mkdir()
    assert read_cell(path, "key", (3, 2)) is None


def test_labels_are_in_the_order_of_the_study():
    pairs = ItemPairs(split().train)
    assert all(list(pairs.labels(index)) == LABELS for index in range(len(pairs)))
    assert labels_of_study(REAL, []) == list(REAL.labels(0))
    assert labels_of_study(REAL, LABELS) == LABELS


@pytest.mark.parametrize("wanted", [["Fracture"], ["Emphysema", "Emphysema"]])
def test_labels_that_cannot_be_learned(wanted):
    with pytest.raises(InputError, match="labels: "):
        labels_of_study(REAL, wanted)


def test_a_source_without_labels_or_without_one_of_them():
    silent = PhantomPairs(num=2)
    silent.labels = lambda index: None
    with pytest.raises(InputError, match="the real volumes have no labels"):
        labels_of_study(silent, [])
    with pytest.raises(InputError, match="has no labels"):
        items_of(silent, range(2), LABELS, "synthetic")
    silent.labels = lambda index: {"Emphysema": 1}
    with pytest.raises(InputError, match="no label 'Consolidation' among Emphysema"):
        items_of(silent, range(2), LABELS, "synthetic")


def test_reports_are_each_used_once_before_any_again():
    real = split()
    prompts = prompts_of(real.train, 2 * len(real.train) + 3, seed=1)
    texts, again = Counter(text for text, _ in prompts), Counter(text for text, _ in prompts[: len(real.train)])
    assert Counter(texts.values()) == {2: len(real.train) - 3, 3: 3}
    assert set(again.values()) == {1}, "one time asks for what the real volumes have, no more and no less"
    labels = {REAL.text(item.index): item.labels for item in real.train}
    assert all(labels[text] == of for text, of in prompts)
    assert prompts_of(real.train, 10, seed=1) == prompts[:10]


@pytest.fixture(scope="module")
def model(tiny_weights) -> TextToCT:
    return TextToCT.load(str(tiny_weights), "cpu")


def test_made_volumes_are_what_the_model_samples(model, tmp_path):
    real, wanted = split(), Synthetic(tokens={"steps": 2}, batch_size=4, seed=9)
    made = make_synthetic(model, wanted, real.train, 6)
    prompts = prompts_of(real.train, 8, 9)
    assert [item.labels for item in made] == [labels for _, labels in prompts[:6]]
    for first in (0, 4):
        texts = [text for text, _ in prompts[first : first + 4]]
        volumes = model.sample_lowres(texts, 9 + first, TokenOptions(steps=2)).clamp(-1, 1)
        for place, item in enumerate(made[first : first + 4]):
            torch.testing.assert_close(item.source.model_input(item.index, model.preset), volumes[place])
    more = make_synthetic(model, wanted, real.train, 13)
    assert [item.fingerprint for item in more[:6]] == [item.fingerprint for item in made], "more leave the first alone"
    other = make_synthetic(model, Synthetic(tokens={"steps": 3}, batch_size=4, seed=9), real.train, 6)
    assert not {item.fingerprint for item in other} & {item.fingerprint for item in made}


def test_made_volumes_are_made_once(model, tmp_path, monkeypatch):
    real, wanted, cache = split(), Synthetic(tokens={"steps": 1}, batch_size=4), ArrayCache(tmp_path)
    batches = []
    sample = TextToCT.sample_lowres
    monkeypatch.setattr(TextToCT, "sample_lowres", lambda *given: batches.append(given[1]) or sample(*given))

    def prepare(num: int) -> None:
        items = make_synthetic(model, wanted, real.train, num)
        prepared(items, model.preset, cache, "synthetic", "raise", "", lambda *_: None)

    prepare(6)
    assert len(batches) == 2
    prepare(6)
    assert len(batches) == 2
    prepare(12)
    assert len(batches) == 4, "the second batch was kept in part, and is made again, and a third"


def test_a_classifier_may_see_a_coarser_grid_than_the_model(model):
    """An average over whole voxels is what a mean over them gives."""
    pairs, own = MadePairs(model, [("Normal.", {"Emphysema": 0})], TokenOptions(steps=1), 1, 0), model.preset
    coarse = PhysicalPreset(num_slices=own.grid.shape_zyx[0], size=own.grid.shape_zyx[1] // 2, upscaled_size=8)
    fine = pairs.model_input(0, own)
    expected = torch.nn.functional.avg_pool3d(fine, (1, 2, 2))
    torch.testing.assert_close(pairs.model_input(0, coarse), expected, atol=1e-5, rtol=0)


def test_made_pairs_are_nobody(model):
    pairs = MadePairs(model, [("Normal.", {"Emphysema": 0})] * 3, TokenOptions(steps=1), 2, 0)
    assert len({pairs.patient(index) for index in range(3)}) == 3
    assert len({pairs.fingerprint(index) for index in range(3)}) == 3
    assert pairs.volume(0).shape_zyx == model.preset.grid.shape_zyx
    assert "PHANTOM" in pairs.notice
