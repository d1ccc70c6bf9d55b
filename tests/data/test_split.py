"""Training and validation sides never share a patient, whatever a table says."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generatect.data.archive import ArchivePairs
from generatect.data.manifest import Manifest, Record
from generatect.data.split import decided_sides, describe_sides, sides_of, split_by_patient
from generatect.errors import InputError
from generatect.phantom.pairs import PhantomPairs


def people(patients: list[str], indices: list[int]) -> set[str]:
    return {patients[index] for index in indices}


def test_a_split_never_divides_a_patient_and_is_stable():
    patients = [f"p{i // 3}" for i in range(3000)]
    sides = split_by_patient(patients, val_fraction=0.2, seed=1)
    assert sorted(sides["train"] + sides["val"]) == list(range(3000))
    train, val = (people(patients, sides[side]) for side in ("train", "val"))
    assert not train & val
    assert 0.15 < len(val) / 1000 < 0.25
    more = ["new", *patients[::-1], "newer"]
    again = split_by_patient(more, val_fraction=0.2, seed=1)
    assert people(more, again["val"]) - {"new", "newer"} == val
    assert people(patients, split_by_patient(patients, val_fraction=0.2, seed=2)["val"]) != val
    assert val < people(patients, split_by_patient(patients, val_fraction=0.3, seed=1)["val"])
    assert split_by_patient(patients, val_fraction=0.0)["val"] == []
    with pytest.raises(InputError, match="val_fraction=1"):
        split_by_patient(patients, val_fraction=1.0)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_an_archive_says_nobody_is_on_both_sides(seed):
    draw = random.Random(seed)
    patients = [f"p{draw.randrange(40)}" for _ in range(200)]
    given = [draw.choice(["train", "val", None, None]) for _ in patients]
    sides = split_by_patient(patients, given=given, val_fraction=0.5, seed=seed)
    train, val = (people(patients, sides[side]) for side in ("train", "val"))
    assert not train & val
    assert sorted(sides["train"] + sides["val"]) == list(range(200))
    decided = decided_sides(patients, given)
    for side, indices in sides.items():
        assert {decided[index] for index in indices} == {side}  # somebody validates, so nothing is left to chance
    said = {side: people(patients, [i for i in range(200) if given[i] == side]) for side in ("train", "val")}
    assert said["train"] <= train
    assert val == said["val"] - said["train"]


def test_an_archive_without_validation_patients_leaves_them_to_chance():
    patients = [f"p{i}" for i in range(200)]
    given = ["train"] * 50 + [None] * 150
    val = split_by_patient(patients, given=given, val_fraction=0.3)["val"]
    assert val == [index for index in split_by_patient(patients, val_fraction=0.3)["val"] if index >= 50]
    assert decided_sides(patients, given) == given
    assert val


@dataclass
class Listed:
    """A layout that lists what it is given."""

    records: list[Record]

    def read(self) -> Manifest:
        return Manifest(self.records)


RECORDS = [Record(f"v{i}", Path(f"v{i}.nii"), f"p{i}", f"Report {i}.", {"Emphysema": i % 2}) for i in range(12)]


def described(records: list[Record], **settings) -> dict:
    pairs = ArchivePairs(layout=Listed(records))
    return describe_sides(pairs, sides_of(pairs, val_fraction=0.3, **settings))


def changed(index: int, **values) -> list[Record]:
    return [replace(record, **values) if i == index else record for i, record in enumerate(RECORDS)]


def test_the_same_data_are_described_alike_wherever_they_lie():
    moved = [replace(record, path=Path("/elsewhere") / record.path) for record in RECORDS]
    assert described(RECORDS) == described(moved)
    assert "Report" not in repr(described(RECORDS))


@pytest.mark.parametrize(
    ("records", "differs"),
    [
        (changed(3, text="Another."), {"reports_and_labels"}),
        (changed(3, labels={"Emphysema": 0}), {"reports_and_labels"}),
        (changed(3, labels={"Nodule": 1}), {"reports_and_labels"}),
        (changed(3, name="w"), {"split"}),
        (changed(3, patient="q"), {"split"}),
        (changed(3, split="val"), {"split", "reports_and_labels"}),
        (RECORDS[:-1], {"split", "reports_and_labels"}),
        (RECORDS[::-1], {"split", "reports_and_labels"}),  # a place in the order would mean another sample
    ],
)
def test_other_data_are_described_otherwise(records, differs):
    one, other = described(RECORDS), described(records)
    assert {key for key in one if one[key] != other[key]} == differs


def test_other_phantoms_are_described_otherwise():
    def phantoms(**settings) -> dict:
        pairs = PhantomPairs(**{"num": 20, **settings})
        return describe_sides(pairs, sides_of(pairs))

    others = [phantoms(**other) for other in ({"num": 21}, {"seed": 1}, {"wording": "heldout"}, {"prevalence": 0.5})]
    assert all(phantoms()["reports_and_labels"] != other["reports_and_labels"] for other in others)
    assert phantoms() == phantoms(native_shape_zyx=(20, 20, 20))  # which training does not read


def test_limits_and_advice():
    pairs = ArchivePairs(layout=Listed(RECORDS))
    sides = sides_of(pairs, val_fraction=0.3, max_train_items=2, max_val_items=1)
    assert {side: len(indices) for side, indices in sides.items()} == {"train": 2, "val": 1}
    two = ArchivePairs(layout=Listed([replace(record, split="val") for record in RECORDS[:2]]))
    with pytest.raises(InputError, match=r"lower stage\.datamodule\.val_fraction=0\.1, or say in a column 'split'"):
        sides_of(two)
