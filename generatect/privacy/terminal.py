"""The audit in the terminal: three questions, what was measured, and what it means."""

from rich import box
from rich.console import Console
from rich.table import Table

from generatect.privacy.proportion import percent
from generatect.privacy.study import Findings
from generatect.privacy.verdict import CANNOT, conclude, what_a_flag_means


def rows_of(findings: Findings) -> list[tuple[str, str, str]]:
    """Question, what was measured, and what it would be without copying."""
    member = findings.membership
    auc, control = auc_of(member.auroc, member.interval), auc_of(member.control, member.control_interval)
    return [
        ("generated volumes flagged as copies", str(findings.flagged), f"{percent(findings.rate)} by chance"),
        ("of these, confirmed by their grey values", f"{findings.num_confirmed} of {findings.flagged.count}", ""),
        ("planted copies that were flagged", str(findings.planted), "what the audit can see"),
        ("membership AUC, training / held-out", auc, f"{control}, halves of held-out"),
    ]


def auc_of(value: float, interval: tuple[float, float]) -> str:
    """Such as "0.51 [0.47, 0.55]"."""
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"


def show_findings(findings: Findings, console: Console) -> None:
    """Prints the numbers, the verdict, and what both do not say."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "measured, 95 % interval", "without copying"):
        table.add_column(column, no_wrap=True)
    for row in rows_of(findings):
        table.add_row(*row)
    console.print(table)
    verdict = conclude(findings)
    for line in (f"{verdict.title}. {verdict.reason}", what_a_flag_means(findings.rate), CANNOT):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
