"""What the card says of prompts that the model cannot follow."""

import shlex
from pathlib import Path

from generatect.data.prompts import Prompt
from generatect.synthesis.card import dataset_card
from generatect.synthesis.work import WorkItem

SIDECAR = {
    "notice": "SYNTHETIC",
    "shape_zyx": [1, 2, 3],
    "spacing_mm_zyx": [3.0, 2.0, 1.0],
    "preset": "physical",
    "weights_sha256": {"ctvit": "0"},
    "tokens": {},
    "upscale": {},
    "versions": {},
    "attempt": 0,
    "volume_sha256": "0",
}


def card(columns: dict[str, str], tokens: int, folder: Path = Path("d")) -> str:
    item = WorkItem(Prompt("a", "text", columns), 0, 0)
    read = {"tokens": tokens, "read": min(tokens, 128)}
    return dataset_card(folder, [(item, {**SIDECAR, "text_read": {"transformer": read, "superres": read}})], [])


def test_prompts_that_were_cut_are_counted():
    assert "* reads 128 of 267 tokens: what follows does not reach the model" in card({}, 267)
    assert "* every prompt was read to its end.\n" in card({}, 128)


def test_labels_are_those_columns_that_a_report_may_say():
    text = card({"": "1", "age": "1", "sex": "0", "Unnamed: 0": "0", "Nodule|left": "1.0", "Effusion": "0"}, 5)
    rows = [line for line in text.splitlines() if line.startswith("| ") and "%" in line]
    assert rows == [r"| Nodule\|left | 1 | 100% |", "| Effusion | 0 | 0% |"]


def test_the_command_of_a_card_is_one_for_a_shell(tmp_path, monkeypatch):
    (tmp_path / "my data").mkdir()
    monkeypatch.chdir(tmp_path / "my data")
    text = card({}, 5, Path("."))
    assert text.startswith("# my data\n")
    command = next(line for line in text.splitlines() if "generatect.train" in line)
    assert shlex.split(command)[-2:] == ["data.root=my data", "data.table=my data/table.csv"]
