"""The rows of the results table, and what is said beneath it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from generatect.evaluation.result import Result, refuse_mixed

SHOWN = {"fid": "FID", "fvd": "FVD", "clip_score": "CLIP"}
"""Columns of the table: metric → heading."""
SMALLEST = 1e-5
"""What is smaller is shown as 0."""
BETTER = {"fid": "lower", "fvd": "lower", "clip_score": "higher"}


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        method: such as "CT-ViT".
        what: what is compared with what, in a few words.
        resolution: rows and columns of a slice.
        dimension: "2D" where slices are made one by one from real ones, else "3D".
        text_guided: whether the volume follows a report.
        results: metric → result; a metric that was not measured is absent.
    """

    method: str
    what: str
    resolution: int
    dimension: str
    text_guided: bool
    results: Mapping[str, Result]

    @property
    def facts(self) -> tuple[str, str, str, str]:
        """The first four cells."""
        return self.method, f"{self.resolution}²", self.dimension, "yes" if self.text_guided else "no"


def require_comparable(rows: Sequence[Row]) -> None:
    """Refuses a table whose numbers do not compare; its rows may differ in resolution.

    Raises:
        InputError: presets, numbers of volumes, detectors or protocols differ.
    """
    results = [result for row in rows for result in row.results.values()]
    refuse_mixed(replace(result, protocol={**result.protocol, "grid": None}) for result in results)


def number(value: float) -> str:
    """A value with as many digits as carry meaning."""
    size = abs(value)
    if size >= 10 or size < SMALLEST:
        return f"{value:,.{0 if size >= 1000 else 1}f}"
    return f"{value:.{max(2, 1 - math.floor(math.log10(size)))}f}"


def interval(ends: tuple[float, float] | None) -> str:
    """Such as "[12.1, 15.8]"; empty where there is none."""
    return "" if ends is None else f"[{number(ends[0])}, {number(ends[1])}]"


def with_interval(result: Result | None) -> str:
    """A cell: "13.2 [12.1, 15.8]", or a dash where the metric was not measured."""
    return "–" if result is None else f"{number(result.value)} {interval(result.interval)}".strip()


def floor_of(result: Result | None) -> str:
    """What real volumes score against each other; empty where there is no such number."""
    return "" if result is None or result.floor is None else number(result.floor.value)


def caption(rows: Sequence[Row], notices: Sequence[str], absent: Mapping[str, str]) -> list[str]:
    """What has to be known to read the numbers, a sentence each.

    Args:
        rows: of the table.
        notices: of data and weights.
        absent: metric → why it was not measured.
    """
    measured = [result for row in rows for metric, result in row.results.items() if metric in SHOWN]
    lines = [f"{notice.rstrip('.')}." for notice in notices]
    distances = [result for result in measured if result.num_real]
    if distances:
        first = distances[0]
        lines.append(
            f"Preset {first.preset}: {first.num_fake} volumes of each method against {first.num_real} real ones on the "
            "same grid."
        )
    if any(result.interval is not None for result in measured):
        lines.append("In brackets: 95 % interval over resampled volumes.")
    if floors := [result.floor for result in distances if result.floor is not None]:
        lines.append(
            f"Floor: {floors[0].num} real volumes against {floors[0].num} others; what scores no higher cannot be told "
            "from real at this number."
        )
    for metric, heading in SHOWN.items():
        detectors = {
            f"{result.detector.name} ({result.detector.sha256[:12]})"
            for row in rows
            if (result := row.results.get(metric)) is not None and result.detector is not None
        }
        if detectors:
            lines.append(f"{heading} through {', '.join(sorted(detectors))}; {BETTER[metric]} is better.")
        if metric in absent:
            lines.append(f"{heading} –: {absent[metric]}.")
    return lines + _notes(rows)


def _notes(rows: Sequence[Row]) -> list[str]:
    """What must be said with the numbers, each once, with the columns that it is true of."""
    columns: dict[str, list[str]] = {}
    for metric, heading in SHOWN.items():
        for note in dict.fromkeys(note for row in rows if metric in row.results for note in row.results[metric].notes):
            columns.setdefault(note, []).append(heading)
    return [f"{' and '.join(headings)}: {note}." for note, headings in columns.items()]
