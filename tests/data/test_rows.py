"""Files as rows: what CSVs and workbooks in the wild hold, and what no table should be."""

import csv
import datetime
import random
import tracemalloc
import zipfile

import openpyxl
import pytest

from generatect.data.csv_lines import MAX_CELL
from generatect.data.rows import read_rows
from generatect.errors import InputError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
    f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/sheet.xml" ContentType="{TYPE}.worksheet+xml"/></Types>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="/xl/sheet.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
    '<sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
}
HEADER_ROW = '<row r="1"><c r="A1" t="str"><v>name</v></c><c r="B1" t="str"><v>text</v></c></row>'


@pytest.fixture
def workbook(tmp_path):
    """Function that writes a workbook by hand, from the XML of its rows, and returns its path."""

    def write(rows: str, before: str = "", prolog: str = "", encoding: str = "utf-8"):
        sheet = f'{prolog}<worksheet xmlns="{MAIN}">{before}<sheetData>{HEADER_ROW}{rows}</sheetData></worksheet>'
        with zipfile.ZipFile(tmp_path / "book.xlsx", "w", zipfile.ZIP_DEFLATED) as package:
            for name, content in PARTS.items():
                package.writestr(name, content)
            package.writestr("xl/sheet.xml", sheet.encode(encoding))
        return tmp_path / "book.xlsx"

    return write


@pytest.fixture
def text_file(tmp_path):
    """Function that writes bytes as a CSV and returns its path."""

    def write(content: bytes):
        (tmp_path / "table.csv").write_bytes(content)
        return tmp_path / "table.csv"

    return write


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        read_rows(path, "a table")
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


class TestCSV:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", [",", ";", "\t"])
    def test_the_same_rows_however_they_are_written(self, text_file, encoding, end, mark):
        lines = [["name ", "text"], ["a", f'"One{end}line{mark} or ""two"""'], ["", ""], [" Übung 🫁", "x"]]
        path = text_file(end.join(mark.join(line) for line in lines).encode(encoding))
        header, rows = read_rows(path, "a table")
        assert header == ["name", "text"]
        assert rows == [{"name": "a", "text": f'One{end}line{mark} or "two"'}, {"name": "Übung 🫁", "text": "x"}]

    @pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;"])
    def test_the_line_that_tells_excel_what_separates_cells_is_no_row(self, text_file, first):
        path = text_file(f"\n{first}\r\nname;text\r\na;One, two.\r\n".encode("utf-8-sig"))
        assert read_rows(path, "a table") == (["name", "text"], [{"name": "a", "text": "One, two."}])
        assert "row 2: 3 cells, expected 2" in refusal(text_file(f"{first}\nname;text\na;x\nb;x;y\n".encode()))
        assert "empty; expected a table" in refusal(text_file(f"{first}\n".encode()))

    def test_a_heading_is_what_is_seen_of_it(self, text_file):
        path = text_file('\ufeff\ufeffname,"Pleural\n effusion","a\u2028b",\x1bc\u200b\nx,1,0,1\n'.encode())
        assert read_rows(path, "a table")[1] == [{"name": "x", "Pleural effusion": "1", "a b": "0", "c": "1"}]

    def test_cells_of_one_column_may_be_kept_exactly(self, text_file):
        path = text_file(b"name , text \n a , Clear. \n , \n")
        assert read_rows(path, "a table", exact="text")[1] == [{"name": "a", "text": " Clear. "}]

    def test_one_column_is_one_column(self, text_file):
        assert read_rows(text_file(b"text\nOne; two.\n"), "a table") == (["text"], [{"text": "One; two."}])
        assert read_rows(text_file(b'"text";"a, b"\nx;y\n'), "a table")[1] == [{"text": "x", "a, b": "y"}]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (
                b"name,text\nb,\xfcbung\n",
                "line 2: byte 0xFC is not UTF-8 (perhaps Latin-1); save the table as CSV UTF-8",
            ),
            ("name,text\n".encode("utf-16"), "line 1: is UTF-16"),
            ("name,text\n".encode("utf-16-be"), "line 1: is UTF-16"),
            (b"name,text\na,x\0y\n", "line 2: is UTF-16 or binary"),
            (b"PK\x03\x04\x14\0\x06\0", "name a workbook .xlsx"),
            (b'name,text\na,x\nb,"open\n', "row 2: not a CSV"),
            (b'name,text\na,"closed" twice"\n', "row 1: not a CSV"),
            (b"name,text\na,x,y\n", "row 1: 3 cells, expected 2"),
            (b"name,name\na,x\n", "occurs twice"),
            (b" , \n\n", "empty; expected a table"),
            (b"a,p," + b"Trachea and main bronchi are open. " * 9, "expected column names there"),
        ],
    )
    def test_what_is_no_table_has_its_line(self, text_file, content, reason):
        message = refusal(text_file(content))
        assert reason in message
        assert "Trachea" not in message

    def test_a_cell_may_be_long_but_not_endless(self, text_file):
        before = csv.field_size_limit()
        report = "Lungs clear. " * 80_000
        _, rows = read_rows(text_file(f'name,text\na,"{report}"\nb,x\n'.encode()), "a table")
        assert rows[0]["text"] == report.strip()
        assert len(rows) == 2
        message = refusal(text_file(b'name,text\na,x\nb,"' + (b"y,z " * 256 + b"\n") * (MAX_CELL // 1024)))
        assert "row 2: not a CSV (a cell has more than 4,194,304 characters)" in message
        assert csv.field_size_limit() == before

    def test_what_cannot_be_opened(self, tmp_path):
        assert "No such file" in refusal(tmp_path / "absent.csv")
        assert "directory" in refusal(tmp_path)


class TestWorkbook:
    def test_values_as_text(self, tmp_path):
        book = openpyxl.Workbook()
        values = {
            "integer": (123, "123"),
            "long": (20230101123456, "20230101123456"),
            "fraction": (0.5, "0.5"),
            "negative": (-1024.0, "-1024"),
            "text": ("  00123 ", "00123"),
            "formula like text": ("'=1+1", "'=1+1"),
            "lines": ("one\ntwo 🫁", "one\ntwo 🫁"),
            "day": (datetime.datetime(2024, 3, 9), "2024-03-09"),
            "moment": (datetime.datetime(2024, 3, 9, 12, 30), "2024-03-09T12:30:00"),
            "time": (datetime.time(12, 30), "12:30:00"),
            "truth": (True, "TRUE"),
            "no escape": ("a_x1F41D_b _x12_", "a_x1F41D_b _x12_"),
            "nothing": (None, ""),
            "never computed": ("=1+1", ""),
        }
        sheet = book.active
        sheet.append([])
        sheet.append(list(values))
        sheet.append([])
        sheet.append([written for written, _ in values.values()])
        sheet.append([" ", ""])
        book.create_sheet("notes").append(["not read"])
        book.save(tmp_path / "book.xlsx")
        header, rows = read_rows(tmp_path / "book.xlsx", "a table")
        assert header == list(values)
        assert rows == [{name: expected for name, (_, expected) in values.items()}]

    def test_numbers_and_stored_results(self, workbook):
        path = workbook(
            '<row r="2"><c r="A2"><v>123.0</v></c><c r="B2"><f>A2+1</f><v>124</v></c></row>'
            '<row r="3"><c r="A3"><v>1.23E2</v></c><c r="B3" t="str"><f>HYPERLINK("x")</f><v>shown</v></c></row>'
            '<row r="4"><c r="A4"><v>1.2345678901234568E+18</v></c><c r="B4" t="e"><v>#NAME?</v></c></row>'
            '<row r="5"><c r="A5" t="inlineStr"><is><t>=HYPERLINK("x")</t></is></c>'
            '<c r="B5" t="str"><v>one_x000D_\ntwo</v></c></row>'
        )
        assert [tuple(row.values()) for row in read_rows(path, "a table")[1]] == [
            ("123", "124"),
            ("123", "shown"),
            ("1.2345678901234568e+18", "#NAME?"),  # the last digits are lost: better no name than a wrong one
            ('=HYPERLINK("x")', "one\ntwo"),
        ]

    def test_characters_that_xml_cannot_hold(self, workbook):
        cell = '<c r="B2" t="str"><v>one_x000B_two_x000D_&#10;three_x005F_x0041_</v></c>'
        path = workbook(f'<row r="2"><c r="A2" t="str"><v>a</v></c>{cell}</row>')
        assert read_rows(path, "a table")[1] == [{"name": "a", "text": "one\x0btwo\nthree_x0041_"}]

    def test_a_sheet_that_declares_far_more_than_it_has(self, workbook):
        path = workbook(
            '<row r="2"><c r="A2"><v>1</v></c></row><row r="9"><c r="A9" t="str"><v>b</v></c><c r="Z9"/></row>'
            '<row r="99"><c r="A99"/></row>',
            before='<dimension ref="A1:XFD1048576"/>',
        )
        assert read_rows(path, "a table")[1] == [{"name": "1", "text": ""}, {"name": "b", "text": ""}]

    def test_a_cell_beside_the_table(self, workbook):
        message = refusal(workbook('<row r="2"><c r="A2"><v>1</v></c><c r="D2"><v>2</v></c></row>'))
        assert "row 1: 4 cells, expected 2; give every column a name" in message

    def test_rows_without_end(self, workbook):
        message = refusal(workbook('<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>'))
        assert "more than 1,048,576 rows" in message
        wide = '<row><c r="ZZZ1"><v>1</v></c></row>' * 600
        assert "10,000,000 cells" in refusal(workbook(wide))

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_entities_that_multiply(self, workbook, encoding):
        entities = '<!ENTITY a "ha">' + "".join(
            f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
        )
        prolog = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE worksheet [{entities}]>'
        rows = '<row r="2"><c r="A2" t="inlineStr"><is><t>&j;</t></is></c></row>'
        assert "document type" in refusal(workbook(rows, prolog=prolog, encoding=encoding))

    def test_a_zip_that_unpacks_to_far_more(self, tmp_path):
        path = tmp_path / "bomb.xlsx"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package,
            package.open("xl/sheet.xml", "w") as part,
        ):
            for _ in range(201):
                part.write(bytes(1_000_000))
        tracemalloc.start()
        try:
            assert "unpacks to 201 MB" in refusal(path)
            assert tracemalloc.get_traced_memory()[1] < 10e6
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("name", ["old.xls", "locked.xlsx"])
    def test_old_and_encrypted_ones(self, tmp_path, name):
        (tmp_path / name).write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
        assert "has a password or is an old .xls" in refusal(tmp_path / name)

    def test_what_is_none(self, workbook, tmp_path):
        good = workbook("").read_bytes()
        for content in (b"", b"name,text\n", good[: len(good) // 2], good.replace(b"xl/sheet.xml", b"xl/other.xml")):
            (tmp_path / "bad.xlsx").write_bytes(content)
            assert "not a readable workbook" in refusal(tmp_path / "bad.xlsx")
        (tmp_path / "sheet.ods").write_bytes(b"PK\x05\x06" + bytes(18))
        assert "save it again as .xlsx" in refusal(tmp_path / "sheet.ods")

    def test_damaged_xml_is_read_or_refused(self, workbook):
        rows = '<row r="2"><c r="A2"><v>12</v></c><c r="B2" t="d"><v>2024-03-09</v></c></row>'
        seeded, refusals = random.Random(0), []
        for _ in range(200):
            place, length = seeded.randrange(len(rows)), seeded.randrange(4)
            damage = "".join(seeded.choices('<>/="&019ab\ud7ff ', k=seeded.randrange(4)))
            path = workbook(rows[:place] + damage + rows[place + length :])
            try:
                read_rows(path, "a table")
            except InputError as error:
                refusals.append(str(error))
        assert 0 < len(refusals) < 200
        assert "\n" not in "".join(refusals)
