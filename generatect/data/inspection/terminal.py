"""The findings on a terminal: one row for each check, then the verdict."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from generatect.data.inspection.archive import Inspection
from generatect.data.inspection.catalogue import ERROR, INFO, WARNING
from generatect.data.inspection.findings import by_check, errors, plain

STYLES = {ERROR: "bold red", WARNING: "yellow", INFO: "dim"}
NUM_EXAMPLES = 3
NAME_LENGTH = 48


def show(inspection: Inspection, console: Console) -> None:
    """Prints the table of findings and the verdict."""
    groups = by_check(inspection.findings)
    if groups:
        table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
        table.add_column("severity")
        table.add_column("found", overflow="fold")
        table.add_column("count", justify="right")
        table.add_column("such as", overflow="fold")
        for check, findings in groups.items():
            names = [_short(finding.name) for finding in findings[:NUM_EXAMPLES]]
            table.add_row(
                Text(check.severity, style=STYLES[check.severity]),
                Text.assemble(check.title, "\n", (check.code, "dim")),
                f"{len(findings):,}",
                Text("\n".join(names)),
            )
        console.print(table)
        console.print()
    if inspection.cut_reports is not None:
        console.print(inspection.cut_reports, highlight=False, markup=False, soft_wrap=True)
    console.print(Text(verdict(inspection), style="bold green" if inspection.may_start else "bold red"))


def verdict(inspection: Inspection) -> str:
    """One line: whether training may start, and how much was found."""
    total = len(inspection.records)
    counts = {severity: len([f for f in inspection.findings if f.severity == severity]) for severity in STYLES}
    others = f"{_count(counts[WARNING], 'warning')}, {_count(counts[INFO], 'remark')}"
    if inspection.may_start:
        return f"Training may start: no errors in {_count(total, 'volume')}; {others}"
    num_bad = len({finding.name for finding in errors(inspection.findings)})
    where = f"{num_bad:,} of {_count(total, 'volume')}"
    return f"Training may not start: {_count(counts[ERROR], 'error')} in {where}; {others}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _short(name: str) -> str:
    """A name in one line of the table: the end tells volumes of an archive apart."""
    name = plain(name)
    return name if len(name) <= NAME_LENGTH else f"…{name[1 - NAME_LENGTH :]}"
