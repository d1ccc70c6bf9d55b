"""What the tables alone show, without a file opened."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from generatect.data.inspection.findings import Finding, found
from generatect.data.inspection.label_text import contradicts
from generatect.data.manifest import LeftOut, Manifest, Record
from generatect.text.reading import TextRead

SHORT_REPORT_WORDS = 5
MAX_FOREIGN = 0.5
"""Of a report's letters; names of drugs and units are Latin in most languages."""
LARGE_PART = 0.2
MIN_VOLUMES_FOR_SHARES = 20
"""Below, a share of the archive says nothing."""

_WORD = re.compile(r"\w+")


def check_tables(manifest: Manifest, reads: Sequence[TextRead] | None = None) -> list[Finding]:
    """Findings of everything the tables say.

    Args:
        manifest: the archive.
        reads: how much the text encoder reads of each record's report; None leaves their length unjudged.
    """
    records = manifest.records
    findings = [_left_out(entry) for entry in manifest.left_out]
    findings += check_splits(records)
    for record, read in zip(records, reads or [None] * len(records), strict=True):
        findings += _report(record, read)
        findings += _labels(record)
    return findings + _shared_reports(records) + _constant_labels(records)


def _left_out(entry: LeftOut) -> Finding:
    code = "left-out-expected" if entry.expected else "no-report" if "no report" in entry.reason else "left-out"
    return found(code, entry.name, entry.reason)


def check_splits(records: list[Record]) -> list[Finding]:
    """One finding for each patient on both sides, at the first volume of the smaller one: the only error of tables."""
    sides: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record.split is not None:
            sides[record.patient][record.split].append(record.name)
    findings = []
    for of_patient in sides.values():
        if len(of_patient) > 1:
            smaller = min(of_patient.items(), key=lambda side: (len(side[1]), side[0] == "train"))[1]
            counts = " and ".join(f"{len(names)} in {split}" for split, names in sorted(of_patient.items()))
            findings.append(found("patient-in-both-splits", smaller[0], f"its patient has {counts}"))
    return findings


def _report(record: Record, read: TextRead | None) -> list[Finding]:
    num_words = len(_WORD.findall(record.text))
    if num_words == 0:
        return [found("report-empty", record.name, "no word in it")]
    findings = []
    if (share := foreign_share(record.text)) > MAX_FOREIGN:
        findings.append(found("report-script", record.name, f"{share:.0%} of its letters are not Latin"))
    elif num_words < SHORT_REPORT_WORDS:
        findings.append(found("report-short", record.name, f"{num_words} word{'s' * (num_words > 1)}"))
    if read is not None and read.is_cut:
        findings.append(found("report-long", record.name, f"{read.tokens} tokens, {read.read} are read"))
    return findings


def foreign_share(text: str) -> float:
    """Share of the letters that belong to another script than Latin, in [0, 1]."""
    if text.isascii():
        return 0.0
    letters = [letter for letter in text if letter.isalpha()]
    return sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters) / max(1, len(letters))


def _labels(record: Record) -> list[Finding]:
    """Labels that the report contradicts; the label is named, the report never quoted."""
    return [
        found(
            "label-against-report",
            record.name,
            f"{label} is {value}, the report {'states' if not value else 'denies'} it",
        )
        for label, value in (record.labels or {}).items()
        if contradicts(label, value, record.text)
    ]


def _shared_reports(records: list[Record]) -> list[Finding]:
    """One finding for each text that several patients share, at its first volume."""
    holders: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        holders[" ".join(record.text.casefold().split())].append(record)
    findings = []
    for group in holders.values():
        num_patients = len({record.patient for record in group})
        if num_patients < 2:
            continue
        is_large = len(group) >= max(MIN_VOLUMES_FOR_SHARES, LARGE_PART * len(records))
        code = "report-everywhere" if is_large else "report-shared"
        findings.append(found(code, group[0].name, f"{len(group)} volumes of {num_patients} patients share its report"))
    return findings


def _constant_labels(records: list[Record]) -> list[Finding]:
    values: dict[str, set[int]] = defaultdict(set)
    labelled = [record.labels for record in records if record.labels]
    for labels in labelled:
        for label, value in labels.items():
            values[label].add(value)
    if len(labelled) < MIN_VOLUMES_FOR_SHARES:
        return []
    return [
        found("label-constant", label, f"{next(iter(seen))} in all {len(labelled)} volumes")
        for label, seen in values.items()
        if len(seen) == 1
    ]
