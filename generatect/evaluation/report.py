"""The results as one page that needs nothing else: no script, no font, no request, every text escaped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from generatect.data.inspection.page import POLICY
from generatect.data.inspection.page import STYLE as HOUSE_STYLE
from generatect.evaluation.gallery import Exhibit, gallery
from generatect.evaluation.phantom_findings import FindingRow, ShownPair
from generatect.evaluation.report_findings import findings_section, pairs_section
from generatect.evaluation.report_numbers import histograms_section, measures_section, results_section
from generatect.evaluation.rows import Row
from generatect.files import atomic_path

STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class Report:
    """Everything that the page shows.

    Attributes:
        rows: of the table.
        caption: what has to be said beneath it.
        notices: what has to be said first, of data and weights.
        facts: heading → value, the line at the top.
        histograms: row → HU shares of real and of its own volumes, over bins of 1 HU.
        findings: obedience by finding; none where there is no classifier.
        no_findings: why there are none.
        pairs: counterfactual ones.
        exhibits: volumes to look at.
        settings: of the command.
        hashes: what → SHA-256.
    """

    rows: Sequence[Row]
    caption: Sequence[str]
    notices: Sequence[str]
    facts: Mapping[str, str]
    histograms: Mapping[str, tuple[Any, Any]]
    findings: Sequence[FindingRow]
    no_findings: str
    pairs: Sequence[ShownPair]
    exhibits: Sequence[Exhibit]
    settings: Mapping[str, Any]
    hashes: Mapping[str, str]


def write_report(report: Report, path: Path) -> None:
    """Writes the page, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(as_html(report), encoding="utf-8")


def as_html(report: Report) -> str:
    """The page."""
    style = HOUSE_STYLE.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")
    notices = "".join(f'<p class="notice">{escape(notice)}</p>\n' for notice in report.notices)
    facts = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in report.facts.items())
    sections = (
        results_section(report.rows, report.caption),
        gallery(report.exhibits),
        findings_section(report.findings, report.no_findings),
        pairs_section(report.pairs),
        measures_section(report.rows),
        histograms_section(report.histograms),
        _origin(report),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Evaluation report</title>\n<style>\n{style}</style>\n</head>\n"
        '<body>\n<header>\n<p class="kind">Evaluation report</p>\n<h1>Generated chest CT against real</h1>\n'
        f"{notices}</header>\n<main>\n"
        f'<section>\n<dl class="summary">{facts}</dl>\n</section>\n{"".join(sections)}</main>\n</body>\n</html>\n'
    )


def _origin(report: Report) -> str:
    """Settings and hashes: what it takes to get these numbers again."""
    hashes = "".join(
        f'<tr><th scope="row">{escape(what)}</th><td>{escape(value)}</td></tr>\n'
        for what, value in report.hashes.items()
    )
    protocols = {
        row.method: {metric: dict(result.protocol) for metric, result in row.results.items()} for row in report.rows
    }
    first = next(iter(next(iter(protocols.values()), {}).values()), {})
    return (
        '<section id="origin">\n<h2>Where the numbers come from</h2>\n'
        f"{_folded('Hashes and versions', f'<table class=hashes><tbody>{hashes}</tbody></table>')}"
        f"{_folded('Settings of the command', _plain(report.settings))}{_folded('Protocol', _plain(first))}</section>\n"
    )


def _folded(title: str, content: str) -> str:
    return f'<details><summary><span class="title">{title}</span></summary>{content}</details>\n'


def _plain(values: Mapping[str, Any]) -> str:
    return f"<pre>{escape(json.dumps(values, indent=2, ensure_ascii=False, default=str))}</pre>"
