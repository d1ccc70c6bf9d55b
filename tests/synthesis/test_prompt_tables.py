"""Prompts made of labels: what they say is what the labels say, and rare findings come more often."""

import csv
from pathlib import Path

import numpy as np
import pytest

from generatect.data.safe_csv import write_csv
from generatect.errors import InputError
from generatect.phantom.case import labels, sample_case
from generatect.phantom.report import case_seed
from generatect.synthesis.prompt_tables import label_prompts, phantom_prompts, rarity_weights, report_prompts


@pytest.fixture
def table(tmp_path) -> Path:
    """Rare comes in one of fifty rows, and never without Common."""
    path = tmp_path / "labels.csv"
    rows = [(index % 2, int(index % 50 == 1), "61Y", "F") for index in range(400)]
    write_csv(path, ("Common", "Rare", "age", "sex"), rows)
    return path


def test_a_rare_finding_comes_often_and_never_alone(table):
    rows = label_prompts(table, 2000, 0, (), balanced=True)
    rare = [row for row in rows if row["Rare"] == "1"]
    assert all(row["Common"] == "1" for row in rare)
    # weights of the 8 rare rows 50 each, the 192 common ones 2, the 200 healthy ones 2: 400 of 1184
    expected = 400 / 1184
    assert len(rare) / 2000 == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))
    plain = label_prompts(table, 2000, 0, (), balanced=False)
    assert sum(row["Rare"] == "1" for row in plain) / 2000 == pytest.approx(0.02, abs=0.013)


def test_weights_are_inverse_to_the_rarest_frequency():
    present = np.array([[1, 0], [1, 1], [1, 0], [0, 0]])
    np.testing.assert_allclose(rarity_weights(present), np.array([4 / 3, 4, 4 / 3, 4]) / (32 / 3))


def test_the_text_says_what_the_labels_say(table):
    for row in label_prompts(table, 200, 1, (), balanced=True):
        assert row["prompt"].startswith("61 years old female: ")
        for name in ("Common", "Rare"):
            named = f"{name} is seen." in row["prompt"]
            assert named == (row[name] == "1")
            if row[name] == "0" and name.lower() in row["prompt"]:
                assert f"No {name.lower()}" in row["prompt"] or f"or {name.lower()}" in row["prompt"]


def test_a_seed_gives_one_table(table):
    assert label_prompts(table, 20, 3, (), True) == label_prompts(table, 20, 3, (), True)
    assert label_prompts(table, 20, 3, (), True) != label_prompts(table, 20, 4, (), True)


def test_phantom_prompts_carry_the_labels_of_their_case():
    for index, row in enumerate(phantom_prompts(30, 5, "train", 0.35)):
        case = sample_case(case_seed(5, index))
        assert {key: int(row[key]) for key in labels(case)} == labels(case)
        assert row["prompt"].startswith(f"{case.age} years old {case.sex}: ")


def test_reports_are_drawn_once_before_any_comes_again(tmp_path):
    path = tmp_path / "reports.csv"
    rows = [(f"v{index}", f"p{index}", f"Report {index}.", index % 2) for index in range(10)]
    write_csv(path, ("volume", "patient", "text", "Effusion"), rows)
    drawn = report_prompts(path, 25, 0, ("Effusion",), "report")
    texts = [row["prompt"] for row in drawn]
    assert sorted(texts[:10]) == sorted(texts[10:20]) == sorted(f"Report {index}." for index in range(10))
    assert all(row["Effusion"] == str(int(row["prompt"][7:-1]) % 2) for row in drawn)


def test_what_is_no_label_is_named(table, tmp_path):
    with pytest.raises(InputError, match=r"no column 'Rara'"):
        label_prompts(table, 5, 0, ("Rara",), True)
    with pytest.raises(InputError, match="labels: is one text of 4 characters"):
        label_prompts(table, 5, 0, "Rare", True)
    with pytest.raises(InputError, match=r"row 1: age holds no label"):
        label_prompts(table, 5, 0, ("age",), True)


def test_the_command_writes_a_table_that_generate_reads(command, tmp_path):
    ended = command("prompts", "num=7", f"output={tmp_path / 'prompts.csv'}")
    assert ended.code == 0, ended.err
    with (tmp_path / "prompts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert rows == phantom_prompts(7, 0, "train", 0.35)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("source=lables", "source=lables: expected one of phantom, labels, reports"),
        ("source=labels", "table: source=labels needs one"),
        ("num=0", "num=0"),
        ("source=reports", "table: source=reports needs one"),
    ],
)
def test_what_cannot_be_is_one_line(command, tmp_path, setting, message):
    ended = command("prompts", setting, f"output={tmp_path / 'prompts.csv'}")
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "prompts.csv").exists()


@pytest.mark.parametrize("name", ["", "_", "Unnamed: 0", " - "])
def test_a_column_of_row_numbers_is_no_finding(tmp_path, name):
    path = tmp_path / "labels.csv"
    path.write_text(f"{name},Effusion,age\n0,1,1\n1,0,0\n")
    rows = label_prompts(path, 9, 0, (), balanced=True)
    assert set(rows[0]) == {"name", "prompt", "age", "sex", "Effusion"}
    assert {row["prompt"].partition(": ")[2] for row in rows} <= {
        "Effusion is seen.",
        "No effusion.",
        "Normal chest CT.",
    }
    with pytest.raises(InputError, match=r"is named after no finding; give it a name"):
        label_prompts(path, 9, 0, (name.strip(),), balanced=True)


def test_a_table_of_nothing_but_row_numbers_has_no_labels(tmp_path):
    (tmp_path / "labels.csv").write_text(",age\n0,1\n1,0\n")
    with pytest.raises(InputError, match="no column of 0 and 1 in it"):
        label_prompts(tmp_path / "labels.csv", 9, 0, (), balanced=True)
