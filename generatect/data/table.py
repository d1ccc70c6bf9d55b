"""The table that says which volume belongs to which patient and report."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generatect.data.rows import read_rows
from generatect.errors import InputError
from generatect.text.demographics import parse_age, parse_sex
from generatect.text.prompt import require_texts
from generatect.text.templates import Report, Template, find_template

REPORT_PARTS = ("findings", "impression")
EXCEL_ERRORS = {"#n/a", "#name?", "#value!", "#ref!", "#div/0!", "#num!", "#null!"}
"""What Excel stores for a formula that fails, and a report typed with a leading = or - is a formula to it."""
NOT_GIVEN = {"", "-", "n/a", "na", "nan", "none", "not given", "null"} | EXCEL_ERRORS
"""What stands for an absent text, in lower case without its full stop."""

LABEL_VALUES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
"""Cells that are labels."""
SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
"""What a column `split` may say, in any case → side."""
_EXCEL_NUMBER = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)


@dataclass(frozen=True)
class TableRow:
    """One pair.

    Attributes:
        number: row of the table, 1 for the first below the header.
        volume: file of the volume, as the table names it.
        patient: whose scan it is.
        text: the prompt that the template makes of the report, never empty.
        labels: label column → 0 or 1; None without label columns.
        findings: this part of the report; empty where the table does not give it.
        impression: this part of the report; empty where the table does not give it.
        age_years: the patient's age; None where the table does not give it.
        sex: "male", "female" or "other"; None where the table does not give it.
        split: the side, "train" or "val", that the table gives in a column `split`; None where it gives none.
    """

    number: int
    volume: str
    patient: str
    text: str
    labels: dict[str, int] | None
    findings: str = ""
    impression: str = ""
    age_years: float | None = None
    sex: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class LeftOutRow:
    """A row that is no pair.

    Attributes:
        number: row of the table, 1 for the first below the header.
        volume: as the table names it; may be empty.
        reason: one line that does not quote the report.
    """

    number: int
    volume: str
    reason: str


@dataclass(frozen=True)
class Table:
    """The pairs of a table, and the rows that are none."""

    rows: list[TableRow]
    left_out: list[LeftOutRow]


def read_table(
    path: str | Path, text_column: str = "text", label_columns: Sequence[str] = (), template: str = "report"
) -> list[TableRow]:
    """Rows of a table in which every row is a pair; see `sift_table`.

    Raises:
        InputError: naming the file, and the row where one is at fault. Reports are never quoted.
    """
    return sift_table(path, text_column, label_columns, template, on_bad_row="raise").rows


def sift_table(
    path: str | Path,
    text_column: str = "text",
    label_columns: Sequence[str] = (),
    template: str = "report",
    on_bad_row: str = "leave_out",
) -> Table:
    """Rows of a table with a header, `volume` and `patient` columns, and a report; `age`, `sex`, `split` if there.

    The report is `text_column`; a table without a column "text" may hold `findings` and `impression` instead.

    Args:
        path: a UTF-8 CSV or an .xlsx; see `read_rows`.
        text_column: column of the report.
        label_columns: columns of 0 and 1.
        template: how the report becomes the text; see `generatect.text.templates`.
        on_bad_row: "raise", or "leave_out" what has no report, volume or patient, repeats a volume, or has a label that
            is none.

    Raises:
        InputError: naming the file, and the row where one is at fault. Reports are never quoted.
    """
    path, write = Path(path).expanduser(), find_template(template)
    if on_bad_row not in ("raise", "leave_out"):
        raise InputError(f"on_bad_row={on_bad_row}: expected raise or leave_out")
    require_texts(label_columns, "label_columns")
    header, records = read_rows(path, "a table with columns volume, patient, text")
    for column in ("volume", "patient", *label_columns):
        if column not in header:
            raise InputError(f"{path}: no column {column!r}; its columns are {', '.join(header)}")
    report_name = _report_name(header, text_column, template, path)
    others = [name for name in header if name not in (*label_columns, text_column)]
    optional = {name.lower(): name for name in others} | {name: name for name in others}
    rows, left_out, seen = list[TableRow](), list[LeftOutRow](), dict[str, int]()
    for number, record in enumerate(records, start=1):
        try:
            row = _row(record, number, text_column, report_name, label_columns, optional, write)
            if row.volume in seen:
                raise InputError(f"volume {row.volume!r} is already in row {seen[row.volume]}")
        except InputError as error:
            if on_bad_row == "raise":
                raise InputError(f"{path} row {number}: {error}") from error
            left_out.append(LeftOutRow(number, record["volume"], str(error)))
            continue
        seen[row.volume] = number
        rows.append(row)
    if not records:
        raise InputError(f"{path}: no rows below the header; expected one for each volume")
    return Table(rows, left_out)


def given_text(cell: str) -> str:
    """The text of a cell; empty where it says that there is none, as "Not given." and "nan" do.

    Composed Unicode (NFC), so that one text has one form and one cached embedding.
    """
    text = cell.strip()
    is_absent = len(text) < 20 and text.rstrip(". ").lower() in NOT_GIVEN  # a long report is not looked through
    return "" if is_absent else unicodedata.normalize("NFC", text)


def require_identifier(cell: str, column: str) -> None:
    """Refuses what spreadsheets make of a long number: different identifiers then look alike.

    Raises:
        InputError: naming the cell.
    """
    if _EXCEL_NUMBER.fullmatch(cell):
        raise InputError(
            f"{column} {cell!r} is a long number as a spreadsheet shortens it, its last digits are lost; format the "
            "column as text and export the table again"
        )


def _report_name(header: list[str], text_column: str, template: str, path: Path) -> str:
    """What messages call the report: its columns, of which there is at least one, and the template unless it is all."""
    wanted, key = [text_column], "data.text_column"
    if template in REPORT_PARTS:
        wanted, key = [template], "data.template"
    elif text_column == "text" and "text" not in header:
        wanted += REPORT_PARTS
    found = [column for column in wanted if column in header]
    if not found:
        raise InputError(
            f"{path}: no column {wanted[0]!r} for the report; "
            f"its columns are {', '.join(header)}; name one with {key}=…"
        )
    return " and ".join(found) + ("" if template == "report" else f", template={template}")


def _row(
    record: dict[str, str],
    number: int,
    text_column: str,
    report_name: str,
    label_columns: Sequence[str],
    optional: Mapping[str, str],
    write: Template,
) -> TableRow:
    """One checked row; what is wrong with it is said without its place.

    `optional` gives the table's own spelling of "age", "sex" and "split": a side of the split that is not read because
    it stands below "Split" would be drawn.
    """

    def given(name: str) -> str:
        return record.get(optional.get(name, name), "")

    for column in ("volume", "patient"):
        if not record[column]:
            raise InputError(f"empty {column}; expected a name")
        require_identifier(record[column], column)
    report = Report(
        findings=given_text(record.get("findings", "")),
        impression=given_text(record.get("impression", "")),
        text=given_text(record[text_column]) if text_column in record else None,
        age_years=parse_age(given("age")),
        sex=parse_sex(given("sex")),
    )
    text = write(report)
    if not text:
        raise InputError(
            f"empty report ({report_name}) for volume {record['volume']!r}; give it a report or remove the row"
        )
    return TableRow(
        number=number,
        volume=record["volume"],
        patient=unicodedata.normalize("NFC", record["patient"]),  # or one patient could be on both sides of a split
        text=text,
        labels={column: parse_label(record[column], column) for column in label_columns} or None,
        findings=report.findings,
        impression=report.impression,
        age_years=report.age_years,
        sex=report.sex,
        split=parse_side(given("split")),
    )


def parse_side(cell: str) -> str | None:
    """A side of the split, where one is given.

    Raises:
        InputError: it is neither side.
    """
    if not cell or not given_text(cell):
        return None
    if cell.lower() not in SIDES:
        raise InputError(f"column split: {_shown(cell)} is neither side; expected train, val or nothing")
    return SIDES[cell.lower()]


def parse_label(cell: str, column: str) -> int:
    """A label, which may be written as 1 or 1.0.

    Raises:
        InputError: it is neither 0 nor 1.
    """
    if cell not in LABEL_VALUES:
        raise InputError(f"{column}={_shown(cell)}; expected 0 or 1")
    return LABEL_VALUES[cell]


def _shown(cell: str) -> str:
    """A cell as a message may quote it."""
    return repr(cell) if len(cell) < 12 else f"{len(cell)} characters"  # perhaps a report
