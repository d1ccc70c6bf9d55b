"""The layout of GenerateCT's example data: a folder for each patient, one for each accession, a JSON beside each CT."""

import json
import unicodedata
from collections import defaultdict
from pathlib import Path

from generatect.data.layouts.listing import ENDING, list_volumes
from generatect.data.layouts.numbers import parse_scaling
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.data.rows import read_rows
from generatect.data.table import given_text, require_identifier
from generatect.errors import InputError
from generatect.text.demographics import parse_age, parse_sex
from generatect.text.templates import Report, find_template

ACCESSION, IMPRESSIONS = "AccessionNo", "Impressions"
MAX_JSON_BYTES = 1 << 20


class GenerateCTLayout:
    """`ROOT/PATIENT/ACCESSION/VOLUME.nii.gz` with `VOLUME_metadata.json`, and a table of impressions: see `Layout`.

    A volume is named `ACCESSION/VOLUME.nii.gz`: the patient's folder stays out of names, which are written to files.
    Of the JSON only RescaleSlope, RescaleIntercept, PatientAge and PatientSex are read.

    Args:
        root: folder of the patients' folders.
        table: .xlsx or CSV with columns AccessionNo and Impressions.
        template: how an impression becomes the prompt; see `generatect.text.templates`. The authors' weights were
            trained with "released".

    Raises:
        InputError: no such folder or template.
    """

    def __init__(self, *, root: str, table: str, template: str = "released") -> None:
        self.root, self.table = Path(root).expanduser(), Path(table).expanduser()
        self.write = find_template(template)
        if not self.root.is_dir():
            raise InputError(f"data.root={root}: not a folder; expected the folder of the patients' folders")

    def read(self) -> Manifest:
        """The volumes on disk, and accessions of the table that have none.

        Raises:
            InputError: the table is unusable, or no volume is where one is expected.
        """
        impressions, files = _read_impressions(self.table), list(list_volumes(self.root))
        if not files:
            raise InputError(f"data.root={self.root}: no volume; expected PATIENT/ACCESSION/VOLUME{ENDING} below it")
        patients = defaultdict[str, set[str]](set)
        for patient, accession, _ in files:
            patients[accession].add(patient)
        records, left_out = list[Record](), list[LeftOut]()
        for patient, accession, file in files:
            name = f"{accession}/{file}"
            if len(patients[accession]) > 1:
                left_out.append(LeftOut(name, "its accession is in the folders of several patients"))
                continue
            made = self._record(name, self.root / patient / accession / file, patient, impressions.get(accession, []))
            (records if isinstance(made, Record) else left_out).append(made)  # type: ignore[arg-type]
        left_out += [LeftOut(accession, "no file") for accession in impressions if accession not in patients]
        return Manifest(records, left_out)

    def _record(self, name: str, path: Path, patient: str, impressions: list[str]) -> Record | LeftOut:
        """A volume as a record, or why it is none."""
        if not impressions:
            return LeftOut(name, "no report")
        if len(impressions) > 1:
            return LeftOut(name, "two different reports")
        values = _read_json(path.with_name(f"{path.name.removesuffix(ENDING)}_metadata.json"))
        if isinstance(values, str):
            return LeftOut(name, values)
        scaling = parse_scaling(values.get("RescaleSlope"), values.get("RescaleIntercept"))
        if scaling is None:
            return LeftOut(name, "no usable RescaleSlope and RescaleIntercept in its metadata JSON")
        age, sex = values.get("PatientAge"), values.get("PatientSex")
        report = Report(
            impression=impressions[0],
            age_years=parse_age(age) if isinstance(age, str | int | float) else None,
            sex=parse_sex(sex) if isinstance(sex, str) else None,
        )
        text = self.write(report)
        if not text:
            return LeftOut(name, "no report that the template can use")
        return Record(name, path, patient, text, metadata=scaling)


def _read_impressions(table: Path) -> dict[str, list[str]]:
    """Accession → its different impressions, those that are given, with the spaces that the release has kept."""
    header, rows = read_rows(table, f"a table with columns {ACCESSION} and {IMPRESSIONS}", exact=IMPRESSIONS)
    for column in (ACCESSION, IMPRESSIONS):
        if column not in header:
            raise InputError(f"{table}: no column {column!r}; its columns are {', '.join(header)}")
    found = defaultdict[str, list[str]](list)
    for number, row in enumerate(rows, start=1):
        if not row[ACCESSION]:
            raise InputError(f"{table} row {number}: empty {ACCESSION}; expected the name of a folder")
        require_identifier(row[ACCESSION], f"{table} row {number}: {ACCESSION}")
        of_accession, text = found[row[ACCESSION]], given_text(row[IMPRESSIONS])
        if text and text not in map(str.strip, of_accession):
            of_accession.append(unicodedata.normalize("NFC", row[IMPRESSIONS]))
    return found


def _read_json(path: Path) -> dict | str:
    """What a metadata JSON holds, or why it cannot be used."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except OSError:
        return "its metadata JSON is missing or cannot be read"
    if len(content) > MAX_JSON_BYTES:
        return f"its metadata JSON has more than {MAX_JSON_BYTES} bytes"
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return "its metadata JSON is broken"
    return values if isinstance(values, dict) else "its metadata JSON is broken"
