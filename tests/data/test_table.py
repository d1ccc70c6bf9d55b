"""Tables of reports: what they may hold, and what becomes of each row."""

import unicodedata

import openpyxl
import pytest

from generatect.data.table import LeftOutRow, TableRow, given_text, read_table, sift_table
from generatect.errors import InputError

HEADER = "volume,patient,text\n"
LONG = "No nodule in either lung. " * 40_000
CASES = {
    "byte order mark": ("\ufeff" + HEADER + "a,p,Clear.\n", ["Clear."]),
    "CRLF": (HEADER.replace("\n", "\r\n") + 'a,p,"One.\r\nTwo."\r\n', ["One.\r\nTwo."]),
    "NaN": (HEADER + "a,p,Clear.\nb,p,NaN\n", "row 2: empty report (text) for volume 'b'"),
    "Not given.": (HEADER + "a,p,Not given.\n", "row 1: empty report (text) for volume 'a'"),
    "duplicates": (HEADER + "a,p,One.\nb,p,Two.\na,p,Three.\n", "row 3: volume 'a' is already in row 1"),
    "20,000 rows": (
        HEADER + "".join(f'v{i},p{i % 4_000},"Report {i}, clear."\n' for i in range(20_000)),
        [f"Report {i}, clear." for i in range(20_000)],
    ),
    "1 MB reports": (HEADER + f'a,p,"{LONG}"\nb,p,"{LONG}"\n', [LONG.strip()] * 2),
    "emoji": (HEADER + "a,p,Lung 🫁 of a 👩🏽‍⚕️ e\u0301\n", ["Lung 🫁 of a 👩🏽‍⚕️ é"]),
    "=HYPERLINK(": (HEADER + 'a,p,"=HYPERLINK(""x"")"\n', ['=HYPERLINK("x")']),
    "semicolons": ("volume;patient;text\na;p;Clear, normal.\n", ["Clear, normal."]),
    "numbers of a workbook": ([["volume", "patient", "text"], [20231, 7.0, "Clear."], [20232, 8, 3]], ["Clear.", "3"]),
}


@pytest.fixture
def table(tmp_path):
    """Function that writes a CSV (of a text) or a workbook (of rows) and returns its path."""

    def write(content: str | list[list]):
        if isinstance(content, str):
            path = tmp_path / "table.csv"
            path.write_bytes(content.encode())
            return path
        book = openpyxl.Workbook()
        for row in content:
            book.active.append(row)
        book.save(tmp_path / "table.xlsx")
        return tmp_path / "table.xlsx"

    return write


def refusal(path, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, *args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES)
def test_what_tables_hold(table, content, expected):
    path = table(content)
    if isinstance(expected, str):
        assert refusal(path).startswith(f"{path} {expected}")
    else:
        rows = read_table(path)
        assert [row.text for row in rows] == expected
        assert [row.number for row in rows] == list(range(1, len(expected) + 1))


def test_names_of_a_workbook_have_no_decimal_point(table):
    rows = read_table(table(CASES["numbers of a workbook"][0]))
    assert [(row.volume, row.patient) for row in rows] == [("20231", "7"), ("20232", "8")]


def test_a_row_knows_the_parts_of_its_report_and_its_patient(table):
    path = table("volume,patient,findings,impression,age,sex,Nodule\na,p,Nodule of 5 mm.,Nodule.,009M,F,1\n")
    assert read_table(path, label_columns=["Nodule"]) == [
        TableRow(1, "a", "p", "Nodule of 5 mm. Nodule.", {"Nodule": 1}, "Nodule of 5 mm.", "Nodule.", 0.75, "female")
    ]
    (unknown,) = read_table(table("volume,patient,text,age,sex\na,p,Clear.,nan,\n"))
    assert (unknown.age_years, unknown.sex, unknown.findings) == (None, None, "")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("report", "Nodule (5 mm). Benign."),
        ("findings", "Nodule (5 mm)."),
        ("impression", "Benign."),
        ("released", "45 years old male: Benign."),
        ("demographics", "45 years old male: Nodule (5 mm). Benign."),
    ],
)
def test_templates(table, template, text):
    path = table("volume,patient,findings,impression,age,sex\na,p,Nodule (5 mm).,Benign.,045Y,M\n")
    assert read_table(path, template=template)[0].text == text


def test_a_template_whose_part_is_missing(table):
    one, parts = HEADER + "a,p,Clear.\n", "volume,patient,findings,impression\na,p,Clear.,nan\n"
    assert "no column 'impression' for the report" in refusal(table(one), template="impression")
    assert "row 1: empty report (impression, template=impression)" in refusal(table(parts), template="impression")
    assert "template=released" in refusal(table(parts), template="released")
    assert read_table(table(one), template="released")[0].text == "None years old None: Clear."
    assert "did you mean 'released'?" in refusal(table(one), template="release")


def test_rows_left_out_are_listed_with_their_reasons(table):
    path = table(
        "volume,patient,text,Nodule\na,p,One.,1\nb,p,nan,0\na,p,Secret.,0\n,p,Secret.,0\nc,,Secret.,0\n"
        "d,p,Secret.,2\ne,q,Two.,0\n"
    )
    found = sift_table(path, label_columns=["Nodule"])
    assert [(row.number, row.volume) for row in found.rows] == [(1, "a"), (7, "e")]
    assert found.left_out == [
        LeftOutRow(2, "b", "empty report (text) for volume 'b'; give it a report or remove the row"),
        LeftOutRow(3, "a", "volume 'a' is already in row 1"),
        LeftOutRow(4, "", "empty volume; expected a name"),
        LeftOutRow(5, "c", "empty patient; expected a name"),
        LeftOutRow(6, "d", "Nodule='2'; expected 0 or 1"),
    ]
    assert sift_table(table(HEADER + "a,p,nan\n")).rows == []
    with pytest.raises(InputError, match="on_bad_row=skip: expected raise or leave_out"):
        sift_table(path, on_bad_row="skip")


def test_messages_do_not_quote_reports(table):
    path = table("volume,patient,text,note\na,p,x,Secret diagnosis.\n")
    assert "Secret" not in refusal(path, label_columns=["note"])


def test_one_patient_however_the_name_is_composed(table):
    name = "Jürgen"
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    rows = read_table(table(HEADER + f"a,{composed},x\nb,{apart},x\n"))
    assert composed != apart
    assert rows[0].patient == rows[1].patient


@pytest.mark.parametrize(
    "cell", ["", " ", "nan", "NaN", "None", "N/A", "Not given.", "NOT GIVEN", "null", "#NAME?", "-"]
)
def test_what_stands_for_no_text(cell):
    assert given_text(cell) == ""


@pytest.mark.parametrize("cell", ["None of the nodules grew.", "0", "No.", "- nodule", "…"])
def test_what_is_a_text(cell):
    assert given_text(cell) == cell


@pytest.mark.parametrize("number", ["1.23457E+11", "1,23457E+11", "1.2345678901234568e+17"])
def test_identifiers_that_a_spreadsheet_has_shortened(table, number):
    for row in (f"a,{number.replace(',', '.')},x", f"{number.replace(',', '.')},p,x"):
        assert "is a long number as a spreadsheet shortens it" in refusal(table(f"{HEADER}{row}\n"))
    assert f"patient {number!r} is a long number" in refusal(table([["volume", "patient", "text"], ["a", number, "x"]]))
    assert [row.patient for row in read_table(table(f"{HEADER}a,1E5,x\nb,2.5,x\n"))] == ["1E5", "2.5"]


def test_a_number_too_long_for_excel_is_refused_and_not_rounded(table):
    assert "patient '1.234567890123457e+17'" in refusal(
        table([["volume", "patient", "text"], ["a", 123456789012345678.0, "x"]])
    )


@pytest.mark.parametrize(
    ("cell", "side"),
    [("train", "train"), ("Train", "train"), ("training", "train"), ("valid", "val"), ("VAL", "val"), ("nan", None)],
)
def test_sides_as_tables_write_them(table, cell, side):
    assert read_table(table(f"volume,patient,text,split\na,p,x,{cell}\n"))[0].split == side


def test_one_column_is_not_as_many_as_it_has_letters(table):
    path = table("volume,patient,text,Nodule\na,p,x,1\n")
    assert refusal(path, label_columns="Nodule").startswith(
        "label_columns: is one text of 6 characters; expected a list"
    )


def test_what_a_table_may_have_besides_is_read_in_any_case(table):
    """A side that is passed over for its capital letter would put who validates among those who train."""
    (row,) = read_table(table("volume,patient,text,Split,AGE,Sex\na,p,x,val,45,F\n"))
    assert (row.split, row.age_years, row.sex) == ("val", 45, "female")
    (row,) = read_table(table("volume,patient,text,Split,split\na,p,x,val,train\n"))
    assert row.split == "train"
    (row,) = read_table(table("volume,patient,text,Sex\na,p,x,1\n"), label_columns=["Sex"])
    assert (row.sex, row.labels) == (None, {"Sex": 1})


def test_another_side_is_shown_and_a_report_is_not(table):
    assert "column split: 'test' is neither side; expected train, val or nothing" in refusal(
        table("volume,patient,text,split\na,p,x,test\n")
    )
    assert "column split: 40 characters is neither" in refusal(table(f"volume,patient,text,split\na,p,x,{'y' * 40}\n"))
