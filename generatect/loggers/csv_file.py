"""A run's numbers as one CSV, a row for each step that logs something."""

import csv
import io
import os
from pathlib import Path
from typing import Any

from generatect.files import atomic_path, first_free, naming
from generatect.loggers.run import Run
from generatect.loggers.run_logger import RunLogger

STEP = "step"


class MetricsCSV(RunLogger):
    """Writes `path`: a column `step`, and one for each metric, in the order in which they came up.

    A row is on the disk as soon as its first number is, and is filled in as more numbers of its step arrive. A new
    column rewrites the file, which happens while the first steps and the first validation come in. A resumed run goes
    on in the same file, behind the row of its checkpoint: each step stands there once. A fresh run in the same folder
    leaves the file of the one before as `metrics-1.csv`, and so on, the oldest first.

    Args:
        path: the file.
    """

    def __init__(self, *, path: str) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns = [STEP]
        self._row: dict[str, Any] = {}
        self._row_start = 0

    @property
    def save_dir(self) -> str:
        """Folder of the file."""
        return str(self.path.parent)

    def begin(self, run: Run, steps_done: int) -> None:
        """Drops what lies behind `steps_done`, a last line cut short included."""
        super().begin(run, steps_done)
        for unfinished in self.path.parent.glob(f".{self.path.name}.*.part"):  # what a killed start was rewriting
            unfinished.unlink(missing_ok=True)
        self._columns, rows = [STEP], []
        if self.path.exists():
            if run.is_resumed:
                self._columns, rows = _read(self.path)
                rows = [row for row in rows if int(row[STEP]) <= steps_done]
            else:
                os.replace(self.path, first_free(self.path.parent, f"{self.path.stem}-{{}}{self.path.suffix}"))
        self._row = {**rows.pop(), STEP: steps_done} if rows and int(rows[-1][STEP]) == steps_done else {}
        self._rewrite(rows)

    def write(self, values: dict[str, float], steps_done: int) -> None:
        """Adds numbers to the row of their step, the last one or a new one."""
        if self._row.get(STEP) != steps_done:
            self._row, self._row_start = {STEP: steps_done}, self.path.stat().st_size
        self._row |= values
        unknown = [key for key in values if key not in self._columns]
        if unknown:
            _, rows = _read(self.path)
            self._columns += unknown
            self._rewrite([row for row in rows if int(row[STEP]) != steps_done])
            return
        with naming(self.path), open(self.path, "r+b") as file:  # over the row as it was so far, which is never longer
            file.seek(self._row_start)
            file.write(self._line(self._row))
            file.truncate()

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        head = self._line({name: name for name in self._columns}) + b"".join(map(self._line, rows))
        self._row_start = len(head)
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(head + (self._line(self._row) if self._row else b""))

    def _line(self, row: dict[str, Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([row.get(name, "") for name in self._columns])
        return text.getvalue().encode()


def _read(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and whole rows; what a kill has cut short is no row."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    header = lines.pop(0) if lines else [STEP]
    rows = [
        {name: value for name, value in zip(header, line, strict=True) if value}
        for line in lines
        if len(line) == len(header) and line[0].isascii() and line[0].isdigit()
    ]
    return header, rows
