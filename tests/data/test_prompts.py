"""Prompts from the command line and from a table."""

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
