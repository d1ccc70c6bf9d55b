"""What long work says while it runs: cost beforehand, a bar meanwhile."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich import progress

Item = TypeVar("Item")
# (what is being done, units done, units in all)
Progress = Callable[[str, int, int], None]


def columns(*said: str) -> list[progress.ProgressColumn]:
    """What every bar shows: what is being done, how far it is, `said` between, time spent and time left."""
    return [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        *(progress.TextColumn(text) for text in said),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    ]


@contextlib.contextmanager
def bars() -> Iterator[Progress]:
    """Yields `show(label, done, total)`: one bar per label, begun anew when it comes round again."""
    with _display() as display:
        tasks: dict[str, int] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = display.add_task(label, total=total)
            if display.tasks[tasks[label]].completed > done:
                display.reset(tasks[label], total=total)
            display.update(tasks[label], completed=done, total=total)

        yield show


def _display(*, transient: bool = False, disable: bool = False) -> progress.Progress:
    """Bars on a terminal; a log, where they would come after what they announce, gets none."""
    display = progress.Progress(*columns(), transient=transient)
    display.disable = disable or not display.console.is_terminal
    return display


def tracked(items: Iterable[Item], label: str, total: int, *, shown: bool) -> Iterator[Item]:
    """Passes `items` on under a bar that goes away at their end.

    Args:
        items: what is worked through.
        label: of the bar.
        total: how many there are.
        shown: whether there is a bar; of several processes one shows it.
    """
    with _display(transient=True, disable=not shown) as display:
        yield from display.track(items, total, description=label)


def duration(seconds: float) -> str:
    """A length of time as people say it: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(num_bytes: int | float) -> str:
    """An amount of memory as people say it: "640 B", "1.3 MB", "12.6 GB"."""
    for unit, num in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= 0.9995 * num:  # what rounds to 1000 of one unit is 1 of the next
            return f"{num_bytes / num:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def rate(items_per_second: int | float) -> str:
    """A speed as people say it: "0.25/s", "12/s", "92,370/s"."""
    digits = 0 if items_per_second >= 10 else 1 if items_per_second >= 1 else 2
    return f"{items_per_second:,.{digits}f}/s"
