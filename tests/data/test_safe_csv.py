"""CSVs that are written: exact for programs, harmless in a spreadsheet."""

import csv
import random

import numpy as np
import pytest

from generatect.data.rows import read_rows
from generatect.data.safe_csv import original_cell, safe_cell, write_csv

FORMULAS = ['=HYPERLINK("http://x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\tx", "\rx"]
HIDDEN = [
    "  =1+1",
    "\xa0=1",
    "\u3000=1",
    "\ufeff=1",
    "\u200b=1",
    "\0=1",
    "\x01=1",
    "=",
    "- nodule",
    "--1",
    "-5 mm",
    "-1e",
]
WIDE = ["＝1+1", "＋1", "－1", "＠SUM(1)", " ＝1", "﹦1"]
NUMBERS = ["-5", "+5", "-1.5e3", "-.5", "0", "12.0", "-1E-7"]


def cells_of(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


@pytest.mark.parametrize("text", [*FORMULAS, *HIDDEN, *WIDE])
def test_a_formula_becomes_text(text):
    assert safe_cell(text) == "'" + text.replace("\0", "")


@pytest.mark.parametrize("text", [*NUMBERS, "", "Clear.", "'quoted'", "5 - 3 = 2", "a@b", "≈ 3 mm", "🫁", "Ö"])
def test_numbers_and_ordinary_text_stay(text):
    assert safe_cell(text) == text


def test_what_is_exported_begins_with_nothing_dangerous(tmp_path):
    texts = [*FORMULAS, *HIDDEN, *WIDE, *NUMBERS, "Clear."]
    write_csv(tmp_path / "t.csv", ["=name", "text"], [(text, f"fine, {text}") for text in texts])
    cells = [cell for row in cells_of(tmp_path / "t.csv") for cell in row]
    assert len(cells) == 2 * len(texts) + 2
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            assert cell.strip("\ufeff\u200b\x01 \t\r\n")[:1] not in set("=+-@＝＋－＠﹦"), repr(cell)
            assert cell[:1] not in set("\t\r\n")


def test_ordinary_text_comes_back_exactly(tmp_path):
    seeded = random.Random(0)
    letters = "abc ,;\"'\r\n\té🫁=+-@\u2028"
    texts = ["x" + "".join(seeded.choices(letters, k=seeded.randrange(12))) for _ in range(2000)]
    rows = list(zip(texts[::2], texts[1::2], strict=True))
    write_csv(tmp_path / "t.csv", ["a", "b"], rows)
    assert cells_of(tmp_path / "t.csv") == [["a", "b"], *map(list, rows)]
    assert [tuple(row.values()) for row in read_rows(tmp_path / "t.csv", "a table")[1]] == [
        (a.strip(), b.strip()) for a, b in rows
    ]


def test_any_text_comes_back_though_a_spreadsheet_takes_it_for_text(tmp_path):
    seeded = random.Random(1)
    drawn = ["".join(seeded.choices("'=+-@ \t5.eöx\ufeff＝\n", k=seeded.randrange(1, 6))) for _ in range(3000)]
    texts = [text for text in [*FORMULAS, *HIDDEN, *WIDE, *NUMBERS, *drawn] if text.strip() and "\0" not in text]
    assert [original_cell(safe_cell(text)) for text in texts] == texts
    write_csv(tmp_path / "t.csv", ["=name", "'- text"], [(text, f"'{text}") for text in texts])
    assert read_rows(tmp_path / "t.csv", "a table") == (
        ["=name", "'- text"],
        [{"=name": text.strip(), "'- text": f"'{text}".strip()} for text in texts],
    )


def test_values_that_are_no_text(tmp_path):
    write_csv(tmp_path / "t.csv", list("abcdef"), [(None, -5, -0.1, np.float32(1.5), True, "\udcff")])
    assert cells_of(tmp_path / "t.csv")[1] == ["", "-5", "-0.1", "1.5", "True", "\\udcff"]


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, ["a"], [["old"]])

    def rows():
        yield ["new"]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_csv(path, ["a"], rows())
    assert cells_of(path) == [["a"], ["old"]]
    assert list(tmp_path.iterdir()) == [path]
