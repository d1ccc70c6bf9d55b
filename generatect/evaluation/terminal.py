"""Results as a table in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from generatect.evaluation.result import Floor, Result
from generatect.evaluation.statistics import IS_DISTANCE, REAL_AGAINST_REAL

TABLE_WIDTH = 120
COLUMNS = ("value", "95 %", "floor", "floor 95 %", "n floor", "n real", "n generated")


def show_results(results: Sequence[Result], console: Console) -> None:
    """Prints the numbers with intervals and floors, and what must be said with them."""
    table = Table(title=f"preset {results[0].preset}", box=box.SIMPLE_HEAD)
    table.add_column("metric", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        floor = result.floor
        table.add_row(
            result.metric,
            number(result.value),
            _interval(result.interval),
            number(floor.value) if floor else "–",
            _interval(floor.interval if floor else None),
            str(floor.num) if floor else "–",
            str(result.num_real or "–"),
            str(result.num_fake),
        )
    console.print(table)
    said: dict[str, list[str]] = {}
    for result in results:
        for line in _said(result):
            said.setdefault(line, []).append(result.metric)
    for line, metrics in said.items():
        console.print(f"· {', '.join(metrics)}: {line}", highlight=False, markup=False, soft_wrap=True)


def number(value: float) -> str:
    """Three significant digits, and no exponent where people would not write one."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"[{number(interval[0])}, {number(interval[1])}]"


def _said(result: Result) -> list[str]:
    lines = list(result.notes)
    if result.detector is not None:
        record = result.detector
        lines.append(f"detector {record.name}, {record.width} features, sha256 {record.sha256[:12]}")
    if result.floor is not None:
        lines += _beside_floor(result, result.floor)
    return lines


def _beside_floor(result: Result, floor: Floor) -> list[str]:
    """What the floor is, and what a distance means that does not rise above it."""
    lines = [f"floor: {floor.of}"]
    highest = floor.value if floor.interval is None else floor.interval[1]
    if floor.of == REAL_AGAINST_REAL and result.metric in IS_DISTANCE and result.value <= highest:
        lines.append("not above its floor: it shows no difference between generated and real volumes")
        if floor.num < result.num_fake:
            fair = "twice as many real volumes as generated ones make it fair"
            lines.append(f"a floor of {floor.num} against {floor.num} is high: {fair}")
    return lines
