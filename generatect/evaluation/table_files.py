"""The results table as files: page, spreadsheet, paper, and JSON with everything."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from generatect.evaluation.report import Report, write_report
from generatect.evaluation.rows import Row
from generatect.evaluation.table_forms import as_csv, as_latex
from generatect.files import atomic_path
from generatect.sidecar import write_sidecar

NAMES = ("report.html", "table.csv", "table.tex", "table.json")


def write_table(folder: Path, report: Report, caption: Sequence[str]) -> list[Path]:
    """Writes every form of the results, each whole or not at all, and returns their paths.

    Args:
        folder: where to.
        report: what the page shows.
        caption: notices included.
    """
    page, spreadsheet, paper, everything = (folder / name for name in NAMES)
    write_report(report, page)
    for path, text in ((spreadsheet, as_csv(report.rows)), (paper, as_latex(report.rows, caption))):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    content = {
        "caption": list(caption),
        "rows": [_plain(row) for row in report.rows],
        "findings": [row.plain() for row in report.findings],
        "counterfactuals": [pair.plain() for pair in report.pairs],
        "hashes": dict(report.hashes),
        "settings": dict(report.settings),
    }
    write_sidecar(everything, content)
    return [page, spreadsheet, paper, everything]


def _plain(row: Row) -> dict[str, Any]:
    return {
        "method": row.method,
        "resolution": row.resolution,
        "dimension": row.dimension,
        "text_guided": row.text_guided,
        "results": [result.to_json() for result in row.results.values()],
    }
