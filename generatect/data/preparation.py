"""The pass over an archive that fills the caches which training reads: what is there, what is to make, making it."""

import shutil
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from generatect.errors import InputError
from generatect.files import require_space
from generatect.progress import size

SURVEY_THREADS = 8
"""Files looked at together while it is found out what is there; that waits for disks and hashes, not for Python."""
CHECK_SPACE_S = 2.0

Outcome = tuple[int, str | None]
"""A volume that has been dealt with, and why it is left out, if it is."""


@dataclass(frozen=True)
class Step:
    """One kind of thing that is made of volumes.

    Attributes:
        what: such as "volumes", for the reader.
        is_there: index → whether it need not be made any more.
        make: indices → their outcomes, as they are made.
        bytes_each: room that one takes at most.
    """

    what: str
    is_there: Callable[[int], bool]
    make: Callable[[Sequence[int]], Generator[Outcome, None, None]]
    bytes_each: int


@dataclass
class Survey:
    """What there is to do.

    Attributes:
        num: volumes in all.
        there: what a step makes → how many have it already.
        missing: what a step makes → the indices that lack it.
        left_out: index → why it cannot be used.
    """

    num: int
    there: dict[str, int]
    missing: dict[str, list[int]]
    left_out: dict[int, str] = field(default_factory=dict)

    def remaining(self, step: Step) -> list[int]:
        """Indices that a step has to make, without those that have been left out."""
        return [index for index in self.missing[step.what] if index not in self.left_out]


def survey(steps: Sequence[Step], num: int, track: Callable[[Iterable, int], Iterable]) -> Survey:
    """Looks what is there already of `num` volumes.

    Args:
        steps: what shall be there.
        num: volumes in all.
        track: shows progress through an iterable of known length.
    """

    def look(index: int) -> list[str] | InputError:
        try:
            return [step.what for step in steps if not step.is_there(index)]
        except InputError as error:
            return error

    result = Survey(num, {step.what: 0 for step in steps}, {step.what: [] for step in steps})
    with ThreadPoolExecutor(SURVEY_THREADS) as threads:
        for index, found in enumerate(track(threads.map(look, range(num)), num)):
            if isinstance(found, InputError):
                result.left_out[index] = str(found)
                continue
            for step in steps:
                if step.what in found:
                    result.missing[step.what].append(index)
                else:
                    result.there[step.what] += 1
    return result


def carry_out(
    steps: Sequence[Step], work: Survey, folder: Path, show: Callable[[str, int, int], None]
) -> dict[str, int]:
    """Makes what is missing; volumes that cannot be read are added to `work.left_out`.

    Args:
        steps: in the order in which they need each other.
        work: what to do.
        folder: of the cache; its disk is watched.
        show: is told what is being made, how many are done, and how many there are to do.

    Returns:
        What a step makes → number made.

    Raises:
        InputError: more than half of all volumes cannot be read, or the disk will not do.
    """
    made = dict.fromkeys((step.what for step in steps), 0)
    for place, step in enumerate(steps):
        todo = work.remaining(step)
        later = sum(len(work.remaining(other)) * other.bytes_each for other in steps[place + 1 :])
        checked = time.monotonic()
        with closing(step.make(todo)) as outcomes:
            for done, (index, reason) in enumerate(outcomes, start=1):
                if reason is None:
                    made[step.what] += 1
                else:
                    _leave_out(work, index, reason)
                show(step.what, done, len(todo))
                if time.monotonic() - checked > CHECK_SPACE_S:
                    checked = time.monotonic()
                    require_space(folder / "prepared", later + (len(todo) - done) * step.bytes_each, "cache_dir")
    return made


def describe(steps: Sequence[Step], work: Survey, folder: Path) -> str:
    """What is there, what will be made and the room it takes, a line each; refuses a disk that has too little.

    Raises:
        InputError: the disk will not do.
    """
    lines = [
        f"{step.what}: {work.there[step.what]} there already, {len(work.missing[step.what])} to make" for step in steps
    ]
    total = sum(len(work.missing[step.what]) * step.bytes_each for step in steps)
    free = shutil.disk_usage(folder).free
    require_space(folder / "prepared", total, "cache_dir")
    return "\n".join([*lines, f"needs at most {size(total)} in {folder}, where {size(free)} are free"])


def _leave_out(work: Survey, index: int, reason: str) -> None:
    work.left_out[index] = reason
    if 2 * len(work.left_out) > work.num:
        raise InputError(
            f"data: {len(work.left_out)} of {work.num} volumes cannot be read, more than half; the last: {reason}"
        )
