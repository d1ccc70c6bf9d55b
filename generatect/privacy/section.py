"""The audit as a section of a dataset's card: numbers alone, nothing that names or shows a training volume."""

from generatect.privacy.report import AuditReport
from generatect.privacy.terminal import rows_of
from generatect.privacy.verdict import CANNOT, conclude, what_a_flag_means

HEADING = "## Privacy"


def privacy_section(report: AuditReport) -> str:
    """The section in Markdown."""
    verdict = conclude(report.findings)
    rows = "".join(f"| {' | '.join(row)} |\n" for row in rows_of(report.findings))
    sizes = ", ".join(
        f"{len(folder)} {what} (list `{folder.sha256[:12]}`)"
        for what, folder in (("generated", report.generated), ("training", report.train), ("held-out", report.heldout))
    )
    return f"""{HEADING}

**{verdict.title}.** {verdict.reason}

| | measured, 95 % interval | without copying |
|---|---|---|
{rows}
{what_a_flag_means(report.findings.rate)} {CANNOT}

Audited by `python -m generatect.audit`, version {report.versions["generatect"]}: {sizes} volumes;
embedding: {report.embedding}, SHA-256 `{report.weights_sha256}`, {report.findings.num_components} components.
"""
