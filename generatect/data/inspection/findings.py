"""What was found in an archive."""

from collections.abc import Iterable
from dataclasses import dataclass

from generatect.data.inspection.catalogue import CATALOGUE, CHECKS, ERROR, SEVERITIES, Check


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        code: key of `CHECKS`.
        severity: the check's.
        name: the volume's, or a column's where the table is at fault.
        message: one line, without report text and without free text of a header.
    """

    code: str
    severity: str
    name: str
    message: str


def found(code: str, name: str, message: str) -> Finding:
    """A finding with its check's severity."""
    return Finding(code, CHECKS[code].severity, name, message)


def by_check(findings: Iterable[Finding]) -> dict[Check, list[Finding]]:
    """Findings of each check that found any: the gravest first, then in the catalogue's order."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.code, []).append(finding)
    present = [check for check in CATALOGUE if check.code in groups]
    return {check: groups[check.code] for check in sorted(present, key=lambda c: SEVERITIES.index(c.severity))}


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Those that keep training from starting."""
    return [finding for finding in findings if finding.severity == ERROR]


def plain(text: str) -> str:
    """A name as it may be shown: whatever could move a cursor or turn the writing direction becomes "?"."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
