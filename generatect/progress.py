"""What long work says while it runs: cost beforehand, a bar meanwhile."""

import contextlib
from collections.abc import Callable, Iterator

from rich import progress

# (what is being done, units done, units in all)
Progress = Callable[[str, int, int], None]


@contextlib.contextmanager
def bars() -> Iterator[Progress]:
    """Yields `show(label, done, total)`: one bar per label, begun anew when it comes round again."""
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns) as display:
        tasks: dict[str, int] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = display.add_task(label, total=total)
            if display.tasks[tasks[label]].completed > done:
                display.reset(tasks[label], total=total)
            display.update(tasks[label], completed=done, total=total)

        yield show


def duration(seconds: float) -> str:
    """A length of time as people say it: "40 s", "3 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
