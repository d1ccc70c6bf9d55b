"""Charts of results as inline SVG without script: colours come from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float

WIDTH = 520
LABEL_WIDTH, VALUE_WIDTH = 150, 112
ROW_HEIGHT = 30
CURVE_HEIGHT, CURVE_BASE = 190, 160


@dataclass(frozen=True)
class Whisker:
    """A value with its interval.

    Attributes:
        label: at the left.
        value: the dot.
        interval: ends of the line; None draws none.
        said: text at the right.
        floor: a second, faint mark with its own interval: what real volumes score against each other.
        kind: class of the row in the style sheet, such as "quiet".
    """

    label: str
    value: float
    interval: tuple[float, float] | None
    said: str
    floor: tuple[float, tuple[float, float] | None] | None = None
    kind: str = ""


def whiskers(
    rows: Sequence[Whisker],
    *,
    low: float,
    high: float,
    logarithmic: bool = False,
    reference: float | None = None,
    reference_label: str = "",
) -> str:
    """One row for each value: a dot, its interval, and its floor.

    Args:
        rows: from top to bottom.
        low: left end of the axis; above 0 where it is logarithmic.
        high: right end.
        logarithmic: equal steps are equal ratios.
        reference: a value to mark with a line across.
        reference_label: what stands at that line.
    """
    scale = _Scale(low, high, logarithmic)
    head, height = 22, 22 + ROW_HEIGHT * len(rows) + 8
    parts = [
        f'<line class="grid" x1="{scale(tick):.1f}" x2="{scale(tick):.1f}" y1="{head}" y2="{height - 6}"/>'
        f'<text x="{scale(tick):.1f}" y="12" text-anchor="middle">{tick:g}</text>'
        for tick in scale.ticks()
    ]
    if reference is not None:
        at = scale(reference)
        parts.append(
            f'<line class="median" x1="{at:.1f}" x2="{at:.1f}" y1="{head}" y2="{height - 6}"/>'
            f"<title>{escape(reference_label)}</title>"
        )
    for index, row in enumerate(rows):
        parts.append(_row(row, scale, head + ROW_HEIGHT * (index + 0.5)))
    return _svg(height, "".join(parts))


def _row(row: Whisker, scale: "_Scale", y: float) -> str:
    parts = [f'<text class="label" x="0" y="{y + 4:.1f}">{escape(row.label)}</text>']
    if row.floor is not None:
        value, interval = row.floor
        left, right = (scale(end) for end in interval or (value, value))
        parts.append(
            f'<rect class="floor" x="{left - 1:.1f}" y="{y - 8:.1f}" width="{right - left + 2:.1f}" height="16">'
            f"<title>floor {value:.4g}</title></rect>"
        )
    if row.interval is not None:
        left, right = (scale(end) for end in row.interval)
        parts.append(f'<line class="interval" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts.append(f'<circle class="value" cx="{scale(row.value):.1f}" cy="{y:.1f}" r="4.5"/>')
    parts.append(f'<text class="said" x="{WIDTH}" y="{y + 4:.1f}" text-anchor="end">{escape(row.said)}</text>')
    return f'<g class="{row.kind}">{"".join(parts)}</g>' if row.kind else "".join(parts)


class _Scale:
    """From values to places along the axis."""

    def __init__(self, low: float, high: float, logarithmic: bool) -> None:
        self.low, self.high, self.logarithmic = low, high, logarithmic

    def __call__(self, value: float) -> float:
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return LABEL_WIDTH + (value - low) / (high - low) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH - 14)

    def ticks(self) -> list[float]:
        """At most six round numbers."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.floor(math.log10(self.high))
            steps = (1,) if last - first > 3 else (1, 2, 5)
            found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            found = [tick for tick in found if self.low <= tick <= self.high]
            return found[:: max(1, math.ceil(len(found) / 6))]
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def curves(edges: Float[np.ndarray, "e"], real: Float[np.ndarray, "b"], fake: Float[np.ndarray, "b"], unit: str) -> str:
    """Two histograms over the same bins, on a square-root axis so that rare values show beside frequent ones.

    The outermost bins, which hold all values beyond, may be cut off at the top.

    Args:
        edges: of the bins; one more than there are bins.
        real: share of the values in each bin.
        fake: likewise.
        unit: of the values.
    """
    low, high = float(edges[0]), float(edges[-1])
    largest = math.sqrt(max(real[1:-1].max(), fake[1:-1].max(), 1e-12))

    def x(value: float) -> float:
        return (value - low) / (high - low) * WIDTH

    def y(share: float) -> float:
        return CURVE_BASE - min(math.sqrt(share) / largest, 1.06) * (CURVE_BASE - 12)

    def outline(shares: np.ndarray) -> str:
        steps = (
            f"{x(left):.1f},{y(share):.1f} {x(right):.1f},{y(share):.1f}"
            for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True)
        )
        return " ".join(steps)

    step = _round_step((high - low) / 5)
    ticks = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    labels = "".join(
        f'<text x="{x(tick):.1f}" y="{CURVE_BASE + 20}" text-anchor="{_anchor(tick, low, high)}">{tick:g}'
        f"{f' {escape(unit)}' if tick == ticks[-1] else ''}</text>"
        for tick in ticks
    )
    return _svg(
        CURVE_HEIGHT,
        f'<polygon class="real-area" points="0,{CURVE_BASE} {outline(real)} {WIDTH},{CURVE_BASE}"/>'
        f'<polyline class="fake-line" points="{outline(fake)}"/>'
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{CURVE_BASE + 0.5}" y2="{CURVE_BASE + 0.5}"/>{labels}',
    )


def _anchor(tick: float, low: float, high: float) -> str:
    if tick - low < 0.02 * (high - low):
        return "start"
    return "end" if high - tick < 0.02 * (high - low) else "middle"


def _round_step(step: float) -> float:
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _svg(height: int, content: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-hidden="true">{content}</svg>'
