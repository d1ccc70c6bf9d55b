"""The table of the study for the terminal, a page of Markdown and a spreadsheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from generatect.data.safe_csv import write_csv
from generatect.files import atomic_path
from generatect.utility_study.sets import REAL
from generatect.utility_study.statistics import MEAN, METRICS, Estimate, Score

HEADINGS = {"auroc": "AUROC", "average_precision": "AP"}
COLUMNS = (
    *("training_set", "num_real", "num_synthetic", "finding", "metric", "value", "low", "high", "seeds_sd"),
    *("minus_real", "minus_real_low", "minus_real_high", "minus_real_seeds_sd", "num_positive", "num_negative"),
)


@dataclass(frozen=True)
class Findings:
    """What is known of the test volumes.

    Attributes:
        num_positive: finding → test volumes that have it.
        num_test: test volumes.
    """

    num_positive: dict[str, int]
    num_test: int


@dataclass(frozen=True)
class Sheet:
    """A table of plain cells.

    Attributes:
        title: above it.
        header: of the columns; the first one holds names.
        rows: as many cells in each.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


def sheets(scores: Sequence[Score], sizes: dict[str, tuple[int, int]], findings: Findings) -> list[Sheet]:
    """The means of every set, metric by metric, and then each finding.

    Args:
        scores: as `judge` returns them.
        sizes: training set → real and synthetic volumes in it.
        findings: of the test volumes.
    """
    found = {(score.training_set, score.finding, score.metric): score for score in scores}
    result = []
    for metric in METRICS:
        header = ["trained on", "real", "synthetic", f"{HEADINGS[metric]} [95 %] ± seeds", "minus real [95 %] ± seeds"]
        rows = []
        for name, (num_real, num_synthetic) in sizes.items():
            score = found[name, MEAN, metric]
            rows.append(
                [name, str(num_real), str(num_synthetic), _cell(score.score), _cell(score.difference, signed=True)]
            )
        result.append(Sheet(f"Mean {HEADINGS[metric]} over the findings, of real test volumes", header, rows))
    for metric in METRICS:
        rows = []
        for finding, num_positive in findings.num_positive.items():
            own = [found[name, finding, metric].score for name in sizes]
            rows.append([finding, f"{num_positive} / {findings.num_test}", *(_cell(each, brief=True) for each in own)])
        result.append(Sheet(f"{HEADINGS[metric]} [95 %] of each finding", ["finding", "with it", *sizes], rows))
    return result


def verdicts(scores: Sequence[Score]) -> list[str]:
    """What the mean AUROC of each set says beside that of the real volumes, in a sentence each.

    A difference is one where its interval and all of its seeds lie on one side of 0.
    """
    lines = []
    for score in scores:
        if score.finding != MEAN or score.metric != "auroc" or score.difference is None:
            continue
        said = {1: "better than", 0: "no significant difference from", -1: "worse than"}[score.difference.sign]
        lines.append(f"{score.training_set}: {said} {REAL} alone, mean AUROC {_cell(score.difference, signed=True)}.")
    return lines


def show_sheets(found: Sequence[Sheet], said: Sequence[str], console: Console) -> None:
    """Prints tables and what must be said with them."""
    for sheet in found:
        table = Table(title=sheet.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for place, name in enumerate(sheet.header):
            table.add_column(name, justify="right" if place else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
    for line in said:
        console.print(f"· {line}", highlight=False, markup=False, soft_wrap=True)


def write_markdown(path: Path, found: Sequence[Sheet], said: Sequence[str]) -> None:
    """Writes tables and what must be said with them as Markdown."""
    parts = ["# Are the synthetic volumes of use?", "\n".join(f"* {line}" for line in said)]
    for sheet in found:
        lines = [sheet.header, ["---", *("---:" for _ in sheet.header[1:])], *sheet.rows]
        parts += [f"## {sheet.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_spreadsheet(
    path: Path, scores: Sequence[Score], sizes: dict[str, tuple[int, int]], findings: Findings
) -> None:
    """Writes one row for each set, finding and metric."""
    rows = []
    for score in scores:
        num_positive = findings.num_positive.get(score.finding)
        num_negative = None if num_positive is None else findings.num_test - num_positive
        rows.append(
            [
                *(score.training_set, *sizes[score.training_set], score.finding, score.metric),
                *_numbers(score.score),
                *_numbers(score.difference),
                *(num_positive, num_negative),
            ]
        )
    write_csv(path, COLUMNS, rows)


def _cell(estimate: Estimate | None, signed: bool = False, brief: bool = False) -> str:
    """Such as "0.912 [0.890, 0.931] ± 0.004"; a dash where there is none."""
    if estimate is None:
        return "–"
    sign = "+" if signed else ""
    text = f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
    return text if brief or estimate.seeds_sd is None else f"{text} ± {estimate.seeds_sd:.3f}"


def _numbers(estimate: Estimate | None) -> tuple[float | None, ...]:
    if estimate is None:
        return (None,) * 4
    return (estimate.value, estimate.low, estimate.high, estimate.seeds_sd)
