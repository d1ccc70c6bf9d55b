"""What CT-RATE's tables say of its volumes, whatever the tables are called."""

import csv
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from generatect.ct.hounsfield import Scaling
from generatect.data.csv_lines import find_delimiter, said_delimiter
from generatect.data.layouts.ct_rate_scans import OfScans, patient_of, scan_of, volume_of
from generatect.data.layouts.listing import ENDING
from generatect.data.layouts.numbers import parse_scaling, parse_spacing
from generatect.data.rows import read_rows
from generatect.data.table import LABEL_VALUES, given_text
from generatect.errors import InputError
from generatect.text.demographics import parse_age, parse_sex

PARTS = {"train": "train", "val": "val"}
"""What is in the names of tables ("train_reports", "validation_metadata") → side of the split."""

VOLUME = "VolumeName"
FINDINGS, IMPRESSIONS = "Findings_EN", "Impressions_EN"
METADATA = {"RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing"}
MAX_LINE = 1 << 16
_IS_TABLE = re.compile(r"(?!\.).*\.csv|no_chest.*\.txt")


@dataclass(frozen=True, slots=True)
class Metadata:
    """A row of a metadata table; None for what is missing or no number.

    Attributes:
        scaling: stored value → HU.
        spacing_mm_zyx: true spacing.
        age_years, sex: of the patient.
    """

    scaling: Scaling | None
    spacing_mm_zyx: tuple[float, float, float] | None
    age_years: float | None
    sex: str | None


@dataclass
class CTRateTables:
    """Everything the tables say, by the volume's name without its ending.

    Attributes:
        reports: findings and impression; either may be empty.
        labels: abnormality → 0 or 1, in one order.
        metadata: see `Metadata`; a reconstruction has its own.
        not_chest: volumes and scans that are no chest → the list that says so.
        named: all volumes that any table names.
        sides: patient → sides of the tables that name them, where a table's name says which part it is of.
        has: kinds of table that were found: "reports", "labels", "metadata".
    """

    reports: OfScans[tuple[str, str]] = field(default_factory=OfScans)
    labels: OfScans[dict[str, int]] = field(default_factory=OfScans)
    metadata: OfScans[Metadata] = field(default_factory=OfScans)
    not_chest: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    sides: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    has: set[str] = field(default_factory=set)

    def why_no_chest(self, volume: str) -> str | None:
        """The reason to leave a volume out, if it or its scan is on a list."""
        listed = self.not_chest.get(volume) or self.not_chest.get(scan_of(volume))
        return f"not a chest ({listed})" if listed else None


def read_tables(place: Path, skip: set[Path], with_labels: bool = True) -> CTRateTables:
    """Reads the tables below a folder, each by what its columns are.

    Args:
        place: the folder, or a single table.
        skip: folders not to look into.
        with_labels: read tables of labels, too.

    Raises:
        InputError: no such place, a table is damaged, has a row without a volume or a label that is neither 0 nor 1.
    """
    said = CTRateTables()
    for path in _find(place, skip):
        head = _head(path)
        kind = "no chest" if path.suffix == ".txt" else _kind(head)
        if kind == "no chest":
            names = (volume_of(line.strip()) for line in path.read_text("utf-8", "replace").split("\n"))
            said.not_chest.update((name, path.name) for name in names if name)
        elif kind is not None and (with_labels or kind != "labels"):
            said.has.add(kind)
            _read(path, kind, said)
    return said


def _find(place: Path, skip: set[Path]) -> list[Path]:
    """CSVs and lists of what is no chest, by path."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(f"data.table={place}: no such folder or file; expected the folder of CT-RATE's tables")
    found = list[Path]()
    for parent, folders, names in os.walk(place):
        folders[:] = [name for name in folders if Path(parent, name) not in skip and not name.startswith(".")]
        found += [Path(parent, name) for name in names if _IS_TABLE.fullmatch(name)]
    return sorted(found)


def _head(path: Path) -> list[list[str]]:
    """Cells of the first two lines, cut where they are endless."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            first = file.readline(MAX_LINE)
            mark = said_delimiter(first)
            if mark is not None:
                first = file.readline(MAX_LINE)
            lines, mark = [first, file.readline(MAX_LINE)], mark or find_delimiter(first)
            return [[cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])] for line in lines]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a table of CT-RATE") from error


def _kind(head: list[list[str]]) -> str | None:
    """What a CSV is, by its first two lines; None for one of something else."""
    header, first = head
    if VOLUME not in header:
        return None
    if FINDINGS in header or IMPRESSIONS in header:
        return "reports"
    if METADATA & set(header):
        return "metadata"
    others = [cell for name, cell in zip(header, first, strict=False) if name != VOLUME]
    return "labels" if others and all(cell in LABEL_VALUES for cell in others) else None


def _read(path: Path, kind: str, said: CTRateTables) -> None:
    """Adds the rows of one table; of free text nothing but the report is kept."""
    header, rows = read_rows(path, f"a table of CT-RATE with a column {VOLUME}")
    names = [name for name in header if name != VOLUME]
    if kind == "labels" and said.labels.of_volume:
        known = list(next(iter(said.labels.of_volume.values())))
        if set(known) != set(names):
            raise InputError(
                f"{path}: its labels are {', '.join(names)}; expected those of other tables, {', '.join(known)}"
            )
        names = known
    sides = {side for part, side in PARTS.items() if part in path.name.lower()}
    for number, row in enumerate(rows, start=1):
        volume = volume_of(row[VOLUME])
        if not volume:
            raise InputError(f"{path} row {number}: empty {VOLUME}; expected the name of a volume, *{ENDING}")
        said.named.add(volume)
        if len(sides) == 1:  # "train_and_valid.csv" says nothing
            said.sides[patient_of(volume)] |= sides
        if kind == "reports":
            report = given_text(row.get(FINDINGS, "")), given_text(row.get(IMPRESSIONS, ""))
            if any(report):  # else another reconstruction's is as good
                said.reports.add(volume, report)
        elif kind == "metadata":
            said.metadata.add(volume, _metadata(row))
        else:
            said.labels.add(volume, {name: _label(row[name], name, number, path) for name in names})


def _metadata(row: dict[str, str]) -> Metadata:
    """The few numbers that count of a row that says much more."""
    return Metadata(
        scaling=parse_scaling(row.get("RescaleSlope"), row.get("RescaleIntercept")),
        spacing_mm_zyx=parse_spacing(row.get("XYSpacing", ""), row.get("ZSpacing", "")),
        age_years=parse_age(row.get("PatientAge")),
        sex=parse_sex(row.get("PatientSex")),
    )


def _label(cell: str, name: str, number: int, path: Path) -> int:
    """A label, which may be written as 1 or 1.0."""
    if cell not in LABEL_VALUES:
        raise InputError(f"{path} row {number}: a cell of column {name!r} is neither 0 nor 1; expected a label")
    return LABEL_VALUES[cell]
