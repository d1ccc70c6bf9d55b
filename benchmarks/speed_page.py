"""The results of `speed.py` as one page without scripts."""

import html
import json
from math import log
from pathlib import Path
from typing import Any

from generatect.files import atomic_path

WIDTH, BAR, GAP, LABEL = 860, 22, 10, 300
STYLE = (
    "body{font:15px system-ui;max-width:60rem;margin:2rem auto;color:#222}td,th{padding:.2rem .8rem;text-align:right}"
)


def write_page(source: Path, page: Path) -> None:
    """Two pictures, of the times and of the memory, and the numbers behind them."""
    content = json.loads(source.read_text())
    cases, machine = content["cases"], content["machine"]
    compared = {name: row for name, row in cases.items() if "ratio" in row}
    times = {name: (row["ratio"], row["goal"]) for name, row in compared.items()}
    memory = {name: (row["memory_ratio"], row["memory_goal"]) for name, row in compared.items()}
    facts = ", ".join(f"{key} {value}" for key, value in machine.items())
    body = (
        f"<h1>Speed</h1><p>{html.escape(facts)}</p>"
        f"<h2>How many times faster than the original's way</h2>{bars(times)}"
        f"<h2>How many times less memory</h2>{bars(memory)}"
        f"<h2>Numbers</h2>{numbers(cases)}"
    )
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Speed</title><style>{STYLE}</style>{body}</html>'
    )
    with atomic_path(page) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def bars(values: dict[str, tuple[float, float | None]]) -> str:
    """A bar for each ratio on a logarithmic scale from 1, and a line where the goal is."""
    largest = max([value for value, _ in values.values()] + [goal or 1 for _, goal in values.values()] + [2])

    def at(value: float) -> float:
        return (WIDTH - LABEL - 90) * log(max(value, 1)) / log(largest)

    rows = []
    for index, (name, (value, goal)) in enumerate(values.items()):
        y = index * (BAR + GAP)
        rows.append(f'<text x="{LABEL - 8}" y="{y + 16}" text-anchor="end">{html.escape(name)}</text>')
        rows.append(f'<rect x="{LABEL}" y="{y}" width="{at(value):.0f}" height="{BAR}" fill="#4477aa"/>')
        rows.append(f'<text x="{LABEL + at(value) + 6:.0f}" y="{y + 16}">{value:.2f} ×</text>')
        if goal:
            x = LABEL + at(goal)
            rows.append(f'<path d="M{x:.0f} {y - 3}v{BAR + 6}" stroke="#cc3311" stroke-width="2"/>')
    height = len(values) * (BAR + GAP)
    return f'<svg viewBox="0 -4 {WIDTH} {height + 4}" width="100%" font-size="14">{"".join(rows)}</svg>'


def numbers(cases: dict[str, dict[str, Any]]) -> str:
    """The table."""
    header = ("what", "threads", "plain, s", "ours, s", "first time, s", "plain, GB", "ours, GB", "GFLOP", "of ceiling")
    lines = ["".join(f"<th>{cell}</th>" for cell in header)]
    for name, row in cases.items():
        seconds, peaks = row["seconds"], row["peak_bytes"]
        cells = (
            html.escape(name),
            row["threads"],
            f"{seconds['plain']:.3g}" if "plain" in seconds else "",
            f"{seconds['ours']:.3g}",
            f"{row['first_seconds']:.3g}",
            f"{peaks['plain'] / 1e9:.2f}" if "plain" in peaks else "",
            f"{peaks['ours'] / 1e9:.2f}",
            f"{row['flops'] / 1e9:.0f}" if row["flops"] else "",
            f"{row['share_of_ceiling']:.0%}" if "share_of_ceiling" in row else "",
        )
        lines.append("".join(f"<td>{cell}</td>" for cell in cells))
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
