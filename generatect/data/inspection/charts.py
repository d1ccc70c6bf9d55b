"""Charts as inline SVG without script: colours come from the page's style sheet."""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, BASE, TOP = 440, 168, 138, 14
NUM_BINS = 36
MIN_FOR_TRIMMING = 200
TRIMMED = (0.5, 99.5)
"""Percentiles at which the axis of a large archive ends; what lies beyond is counted in the outermost bars."""

ROW_HEIGHT, LABEL_WIDTH, MAX_ROWS = 24, 150, 8


def histogram(values: Sequence[float], unit: str) -> str:
    """Bars of how often values occur, with the median marked.

    Args:
        values: finite numbers, at least one.
        unit: of the values, such as "mm".
    """
    numbers = np.asarray(values, dtype=np.float64)
    low, high = numbers.min(), numbers.max()
    if len(numbers) >= MIN_FOR_TRIMMING:
        low, high = np.percentile(numbers, TRIMMED)
    low, high = _rounded(float(low), float(high))
    counts, edges = np.histogram(numbers.clip(low, high), bins=NUM_BINS, range=(low, high))
    scale = (BASE - TOP) / max(1, counts.max())
    step = WIDTH / NUM_BINS
    bars = [
        f'<rect class="bar" x="{index * step + 0.75:.2f}" y="{BASE - max(1.5, count * scale):.2f}" '
        f'width="{step - 1.5:.2f}" height="{max(1.5, count * scale):.2f}">'
        f"<title>{edges[index]:.4g} to {edges[index + 1]:.4g} {escape(unit)}: {count:,}</title></rect>"
        for index, count in enumerate(counts)
        if count
    ]
    median = float(np.median(numbers))
    at = min(max((median - low) / (high - low), 0), 1) * WIDTH
    anchor = "start" if at < WIDTH / 2 else "end"
    marker = (
        f'<line class="median" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{BASE}"/>'
        f'<text class="note" x="{at + (5 if anchor == "start" else -5):.1f}" y="{TOP}" text-anchor="{anchor}">'
        f"median {median:.3g} {escape(unit)}</text>"
    )
    less, more = ("≤ " if numbers.min() < low else ""), ("≥ " if numbers.max() > high else "")
    ticks = (
        f'<text x="0" y="{BASE + 20}">{less}{low:.4g}</text>'
        f'<text x="{WIDTH / 2}" y="{BASE + 20}" text-anchor="middle">{(low + high) / 2:.4g}</text>'
        f'<text x="{WIDTH}" y="{BASE + 20}" text-anchor="end">{more}{high:.4g} {escape(unit)}</text>'
    )
    axis = f'<line class="axis" x1="0" x2="{WIDTH}" y1="{BASE + 0.5}" y2="{BASE + 0.5}"/>'
    return _svg(HEIGHT, "".join(bars) + axis + marker + ticks)


def category_bars(counts: Mapping[str, int]) -> str:
    """One horizontal bar for each category, the most frequent first; rare ones are summed up."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > MAX_ROWS:
        rest = ordered[MAX_ROWS - 1 :]
        ordered = [*ordered[: MAX_ROWS - 1], (f"{len(rest)} others", sum(count for _, count in rest))]
    most, total = max(counts.values()), sum(counts.values())
    room = WIDTH - LABEL_WIDTH - 92
    rows = []
    for row, (name, count) in enumerate(ordered):
        y = row * ROW_HEIGHT
        length = max(1.5, room * count / most)
        rows.append(
            f'<text class="label" x="0" y="{y + 16}">{escape(name)}</text>'
            f'<rect class="bar" x="{LABEL_WIDTH}" y="{y + 5}" width="{length:.1f}" height="14"/>'
            f'<text x="{LABEL_WIDTH + length + 8:.1f}" y="{y + 16}">{count:,} · {count / total:.0%}</text>'
        )
    return _svg(ROW_HEIGHT * len(ordered) + 4, "".join(rows))


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis: the range widened to round numbers; a single value lies in the middle."""
    if high - low < 1e-6 * max(abs(low), abs(high), 1e-6):
        margin = max(abs(low) * 0.25, 1e-3)
        return low - margin, high + margin
    step = 10.0 ** math.floor(math.log10(high - low)) / 2
    return math.floor(low / step) * step, math.ceil(high / step) * step


def _svg(height: int, content: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-hidden="true">{content}</svg>'
