"""Training and validation sides never share a patient, whatever a table says."""

import random

import pytest

from generatect.data.split import split_by_patient
from generatect.errors import InputError


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
    said = {side: people(patients, [i for i in range(200) if given[i] == side]) for side in ("train", "val")}
    assert said["train"] <= train
    assert val == said["val"] - said["train"]


def test_an_archive_without_validation_patients_leaves_them_to_chance():
    patients = [f"p{i}" for i in range(200)]
    given = ["train"] * 50 + [None] * 150
    val = split_by_patient(patients, given=given, val_fraction=0.3)["val"]
    assert val == [index for index in split_by_patient(patients, val_fraction=0.3)["val"] if index >= 50]
    assert val
