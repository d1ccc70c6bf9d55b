"""Prompts from the command line and from a table."""

import openpyxl
import pytest

from generatect.data.prompts import Prompt, gather_prompts
from generatect.errors import InputError


@pytest.fixture
def table(tmp_path):
    """Function that writes a table and returns its path."""

    def write(content: str) -> str:
        (tmp_path / "prompts.csv").write_bytes(content.encode())
        return str(tmp_path / "prompts.csv")

    return write


def test_a_table_of_prompts(table):
    content = '\ufeffname, prompt\r\nfirst,"Effusion, right."\r\n" ", Clear. \r\n\r\n,"Two\nlines"\r\n'
    expected = [Prompt("first", "Effusion, right."), Prompt("0001", "Clear."), Prompt("0002", "Two\nlines")]
    assert gather_prompts(None, table(content)) == expected
    assert gather_prompts(None, table("text\nClear.\n")) == [Prompt("0000", "Clear.")]


@pytest.mark.parametrize("row", ["a,Effusion, right.", "a", "a,x,"])
def test_a_cell_too_many_or_too_few_is_refused(table, row):
    with pytest.raises(InputError, match=r"prompts\.csv row 2: .*quotes"):
        gather_prompts(None, table(f"name,prompt\nb,y\n{row}\n"))


def test_a_table_below_the_home_folder(table, tmp_path, monkeypatch):
    table("prompt\nClear.\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gather_prompts(None, "~/prompts.csv") == [Prompt("0000", "Clear.")]


def test_the_workbook_of_generatect(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Names", "Text_prompts"], ["case_1.nii.gz", "Effusion, right."], [2, "Clear."], [None, " Nodule. "]):
        book.active.append(row)
    book.save(tmp_path / "prompts.xlsx")
    expected = [Prompt("case_1", "Effusion, right."), Prompt("2", "Clear."), Prompt("0002", "Nodule.")]
    assert gather_prompts(None, str(tmp_path / "prompts.xlsx")) == expected


def test_columns_in_any_case(table):
    assert gather_prompts(None, table("NAME,Prompt,text\na,x,y\n")) == [Prompt("a", "x", {"text": "y"})]


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\\b", "a\tb", "é" * 101, "../x.nii.gz"])
def test_names_that_no_file_should_have(table, name):
    with pytest.raises(InputError, match=r"prompts\.csv row 2: .* is no plain file name"):
        gather_prompts(None, table(f"name,prompt\nfine,x\n{name},y\n"))


@pytest.mark.parametrize("name", ["fine", "Fine", "fine.nii", "0001"])
def test_names_that_would_be_one_file(table, name):
    with pytest.raises(InputError, match=r"prompts\.csv row 3: name .* is used twice, in row [12] too"):
        gather_prompts(None, table(f"name,prompt\nfine,x\n,x\n{name},y\n"))


@pytest.mark.parametrize("text", ["", "nan", "Not given."])
def test_a_prompt_that_says_nothing(table, text):
    with pytest.raises(InputError, match=r"prompts\.csv row 1: the prompt is empty"):
        gather_prompts(None, table(f"name,prompt\na,{text}\n"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("  ", "prompt: is empty"),
        ("nan", "prompt: 'nan' stands for no report"),
        ("Not given.", "prompt: 'Not given.' stands for no report"),
        ("nodule \ud83d", r"prompt: character 8 is U\+D83D, half of a character"),
        ("Erg\udcfcsse", r"prompt: character 4 is U\+DCFC"),
        ("a\0b", r"prompt: character 2 is U\+0000"),
    ],
)
def test_a_single_prompt_that_no_volume_can_be_made_of(text, reason):
    with pytest.raises(InputError, match=reason):
        gather_prompts(text, None)


def test_a_single_prompt_has_one_form_as_those_of_a_table():
    assert gather_prompts(" Gro\u0308ße 🫁 ", None) == [Prompt("generated", "Größe 🫁")]
