"""Volumes that cannot be read: each ends the run, or each is left out, counted and listed."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from generatect.data.cache import CacheError
from generatect.data.safe_csv import safe_cell
from generatect.errors import InputError
from generatect.files import naming

MAX_IN_A_ROW = 10
"""So many unreadable volumes one after the other are no accident."""
HEADER = ("volume", "reason")

Read = TypeVar("Read")


class BadVolumes:
    """What to do about a volume that cannot be read.

    The list is one for all processes of a run: each volume is in it once, whoever met it first.

    Args:
        name: index → name of the volume.
        total: volumes of the run.
        on_bad: "raise" ends the run at the first; "skip" leaves it out.
        skipped_file: CSV of the volumes left out; needed for "skip".

    Attributes:
        reasons: index → why, of the volumes that this process knows to be bad.

    Raises:
        InputError: an unknown `on_bad`, or "skip" without a file.
    """

    def __init__(
        self, name: Callable[[int], str], total: int, on_bad: str = "raise", skipped_file: str | None = None
    ) -> None:
        if on_bad not in ("raise", "skip"):
            raise InputError(f"data.on_bad={on_bad}: expected raise or skip")
        if on_bad == "skip" and skipped_file is None:
            raise InputError("stage.datamodule.skipped_file: data.on_bad=skip needs a CSV to list volumes in")
        self.name, self.total, self.on_bad = name, total, on_bad
        self.file = Path(skipped_file).expanduser() if skipped_file is not None else None
        self.reasons: dict[int, str] = {}

    def start(self) -> None:
        """Begins an empty list: what a run listed earlier may have been repaired."""
        if self.on_bad == "skip" and self.file is not None:
            self.file.unlink(missing_ok=True)

    @contextmanager
    def leaving_out(self, index: int) -> Iterator[None]:
        """What is done inside reads the volume `index`; where that fails, the volume is left out.

        Raises:
            InputError: it fails and `on_bad` is "raise", or more than half of all volumes have failed.
        """
        try:
            yield
        except CacheError:
            raise  # no fault of the volume
        except InputError as error:
            if self.on_bad == "raise":
                raise
            self._leave_out(index, str(error))

    def first_readable(self, place: int, indices: Sequence[int], read: Callable[[int], Read]) -> Read:
        """What `read` makes of the volume `indices[place]`, or, where it is bad, of the next one that is not.

        So an item depends on its place and on which volumes are bad, not on when or in which process that was found.

        Raises:
            InputError: the next volumes are all bad, or as `leaving_out`.
        """
        for step in range(min(MAX_IN_A_ROW, len(indices))):
            index = indices[(place + step) % len(indices)]
            if index not in self.reasons:
                with self.leaving_out(index):
                    return read(index)
        raise InputError(
            f"data.on_bad=skip: {min(MAX_IN_A_ROW, len(indices))} volumes in a row cannot be read, see {self.file}; "
            f"the last: {self.reasons[index]}"
        )

    def usable(self, indices: Sequence[int]) -> list[int]:
        """Those of `indices` that are not known to be bad.

        Raises:
            InputError: none of several is left.
        """
        usable = [index for index in indices if index not in self.reasons]
        if indices and not usable:
            raise InputError(
                f"data.on_bad=skip: none of {len(indices)} volumes can be read, see {self.file}; "
                f"the first: {self.reasons[indices[0]]}"
            )
        return usable

    def num_listed(self) -> int:
        """Volumes that the processes of this run have left out."""
        if self.on_bad != "skip" or self.file is None or not self.file.is_file():
            return 0
        with self.file.open(encoding="utf-8", newline="") as file:
            return max(0, sum(1 for _ in csv.reader(file)) - 1)

    def _leave_out(self, index: int, reason: str) -> None:
        assert self.file is not None
        self.reasons[index] = reason
        count = _append_once(self.file, safe_cell(self.name(index)), safe_cell(reason))
        if count * 2 > self.total:
            raise InputError(
                f"data.on_bad=skip: {count} of {self.total} volumes cannot be read, more than half, see {self.file}; "
                f"the last: {reason}"
            )


def _append_once(path: Path, name: str, reason: str) -> int:
    """Adds a row unless there is one of that name; returns the number of rows. Safe among processes."""
    import fcntl  # where there is none, on Windows, the rest of this package still works

    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("a+", encoding="utf-8", errors="backslashreplace", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        file.seek(0)
        names = [row[0] for row in csv.reader(file) if row]
        writer = csv.writer(file, lineterminator="\r\n")
        if not names:
            writer.writerow(HEADER)
            names = [HEADER[0]]
        if name not in names[1:]:
            writer.writerow((name, reason))
            names.append(name)
        file.flush()
        os.fsync(file.fileno())
    return len(names) - 1
