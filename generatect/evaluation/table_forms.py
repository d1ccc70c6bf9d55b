"""The results table for a terminal, a spreadsheet and a paper."""

import csv
import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from generatect.evaluation.rows import SHOWN, Row, floor_of, interval, number, with_interval

FACTS = ("method", "resolution", "dimension", "text-guided")
SPECIAL = {"\\": r"\textbackslash{}", **{letter: f"\\{letter}" for letter in "&%$#_{}"}}
SPECIAL |= {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "²": "$^2$",
    "–": "--",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
}


def show_table(rows: Sequence[Row], caption: Sequence[str], console: Console) -> None:
    """Prints the table and its caption."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in FACTS:
        table.add_column(name, no_wrap=True)
    for heading in SHOWN.values():
        table.add_column(f"{heading} [95 %]", justify="right", no_wrap=True)
        table.add_column("floor", justify="right", style="dim", no_wrap=True)
    for row in rows:
        cells = [
            cell
            for metric in SHOWN
            for cell in (with_interval(row.results.get(metric)), floor_of(row.results.get(metric)))
        ]
        table.add_row(*row.facts, *cells)
    console.print(table)
    for line in caption:
        console.print(line, style="dim", highlight=False, markup=False)


def as_csv(rows: Sequence[Row]) -> str:
    """One line for each method; of each metric its value, interval, floor, and how it was measured."""
    text = io.StringIO()
    parts = (
        "",
        "_low",
        "_high",
        "_floor",
        "_floor_low",
        "_floor_high",
        "_num_real",
        "_num_fake",
        "_preset",
        "_detector",
    )
    names = [f"{metric}{part}" for metric in SHOWN for part in parts]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "resolution", "dimension", "text_guided", *names])
    for row in rows:
        cells: list[object] = []
        for metric in SHOWN:
            result = row.results.get(metric)
            if result is None:
                cells += [""] * len(parts)
                continue
            floor, floor_interval = ("", None) if result.floor is None else (result.floor.value, result.floor.interval)
            cells += [result.value, *(result.interval or ("", "")), floor, *(floor_interval or ("", ""))]
            cells += [
                result.num_real,
                result.num_fake,
                result.preset,
                result.detector.sha256 if result.detector else "",
            ]
        writer.writerow([row.method, row.resolution, row.dimension, "yes" if row.text_guided else "no", *cells])
    return text.getvalue()


def as_latex(rows: Sequence[Row], caption: Sequence[str]) -> str:
    """A table for the package booktabs."""
    better = {"fid": r"$\downarrow$", "fvd": r"$\downarrow$", "clip_score": r"$\uparrow$"}
    headings = ["Method", "Resolution", "Dimension", "Text-guided"]
    headings += [f"{heading} {better[metric]}" for metric, heading in SHOWN.items()]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        r"  \begin{tabular}{llll" + "r" * len(SHOWN) + "}",
        r"    \toprule",
        f"    {' & '.join(headings)} \\\\",
        r"    \midrule",
    ]
    for row in rows:
        cells = [_tex(fact) for fact in row.facts]
        for metric in SHOWN:
            result = row.results.get(metric)
            ends = "" if result is None else interval(result.interval)
            cells.append(
                "--" if result is None else f"{number(result.value)} {{\\small {ends}}}".replace(r" {\small }", "")
            )
        lines.append(f"    {' & '.join(cells)} \\\\")
        floors = [floor_of(row.results.get(metric)) for metric in SHOWN]
        if any(floors):
            said = " & ".join(f"\\small {floor}" if floor else "" for floor in floors)
            lines.append(f"    \\quad\\small floor &&&& {said} \\\\")
    lines += [
        r"    \bottomrule",
        r"  \end{tabular}",
        f"  \\caption{{{_tex(' '.join(caption))}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)
