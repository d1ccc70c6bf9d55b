"""The inspection as one page that needs nothing else: no script, no font, no request, every text escaped."""

from collections import Counter
from html import escape
from pathlib import Path

from generatect.data.inspection.archive import Inspection
from generatect.data.inspection.catalogue import ERROR, Check
from generatect.data.inspection.distributions import distributions
from generatect.data.inspection.findings import Finding, by_check, plain
from generatect.data.inspection.gallery import gallery, places
from generatect.data.inspection.machine_readable import versions
from generatect.data.inspection.terminal import verdict
from generatect.files import atomic_path
from generatect.progress import size

MAX_LISTED = 200
STYLE = Path(__file__).with_name("page.css")
# Strict: should an escape ever be missed, nothing runs and nothing is fetched.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write_page(inspection: Inspection, path: Path) -> None:
    """Writes the page, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(as_html(inspection), encoding="utf-8")


def as_html(inspection: Inspection) -> str:
    """The page."""
    statement, _, counts = verdict(inspection).partition(": ")
    state = "good" if inspection.may_start else "bad"
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{statement} · archive report</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f'<body>\n<header>\n<p class="kind">Archive report</p>\n<h1 class="{state}">{statement}</h1>\n'
        f"<p>{_sentence(counts)}</p>\n</header>\n<main>\n"
        f"{_summary(inspection)}{_findings(inspection)}{distributions(inspection)}{gallery(inspection)}"
        f"</main>\n<footer>{escape(used)}</footer>\n</body>\n</html>\n"
    )


def _summary(inspection: Inspection) -> str:
    records = inspection.records
    splits = Counter(record.split for record in records)
    split = (
        " / ".join(f"{splits[side]:,}" for side in ("train", "val")) if splits[None] < len(records) else "by patient"
    )
    rows = {
        "Volumes": f"{len(records):,}",
        "Patients": f"{len({record.patient for record in records}):,}",
        "Training / validation": split,
        "Left out": f"{len(inspection.left_out):,}",
        "On disk": size(inspection.num_bytes),
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows.items())
    read = "tables, headers and voxels" if inspection.voxels is not None else "tables and headers, not the voxels"
    limit = escape(inspection.token_limit)
    note = f'<p class="aside">This report comes from {read}. The text encoder reads {limit}.</p>'
    if inspection.cut_reports is not None:
        note += f"\n<p>{escape(_sentence(inspection.cut_reports))}</p>"
    return f'<section>\n<dl class="summary">{cells}</dl>\n{note}\n</section>\n'


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."


def _findings(inspection: Inspection) -> str:
    groups = by_check(inspection.findings)
    linked = places(inspection)
    blocks = "".join(_group(check, findings, linked) for check, findings in groups.items())
    return f"<section>\n<h2>Findings</h2>\n{blocks or '<p>Nothing was found.</p>'}</section>\n"


def _group(check: Check, findings: list[Finding], linked: dict[str, str]) -> str:
    """One check: folded up, but for errors."""
    rows = "".join(_row(finding, linked) for finding in findings[:MAX_LISTED])
    more = len(findings) - MAX_LISTED
    rest = f'<p class="aside">and {more:,} more, listed in doctor.json</p>' if more > 0 else ""
    opened = " open" if check.severity == ERROR else ""
    return (
        f'<details class="{check.severity}"{opened}>\n<summary><span class="severity">{check.severity}</span>'
        f'<span class="title">{escape(check.title)}</span><code>{check.code}</code>'
        f'<span class="count">{len(findings):,}</span></summary>\n'
        f'<div class="inside"><p>{escape(check.advice)}</p>\n<table>{rows}</table>{rest}</div>\n</details>\n'
    )


def _row(finding: Finding, linked: dict[str, str]) -> str:
    name = escape(plain(finding.name))
    if finding.name in linked:
        name = f'<a href="#{linked[finding.name]}">{name}</a>'
    return f'<tr><th scope="row">{name}</th><td>{escape(plain(finding.message))}</td></tr>\n'
