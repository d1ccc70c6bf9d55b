"""Makes the volumes of a work list, each whole or not at all, and goes on where an earlier process ended."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from generatect.lock import only_process
from generatect.planning.memory import peak_bytes, reset_peak
from generatect.progress import Progress, bars, duration, size
from generatect.sidecar import write_generated
from generatect.synthesis.gate import Gate
from generatect.synthesis.kept import made, reject, rejected
from generatect.synthesis.makers import Maker
from generatect.synthesis.manifest import append_line
from generatect.synthesis.replacing import clear_unfinished, refuse_other_shards, remove_volume, unwrite
from generatect.synthesis.work import Shard, WorkItem


@dataclass
class Tally:
    """What became of a work list: volumes found whole, made, and prompts given up."""

    found: int = 0
    made: int = 0
    rejected: int = 0


@contextlib.contextmanager
def alone(folder: Path, shard: Shard | None, name: str) -> Iterator[None]:
    """Holds the lock of a share of a table, or of a single volume; refuses a table cut up in two ways at once.

    Args:
        folder: of the dataset.
        shard: which share of the table; None: a single volume.
        name: of the single volume.

    Raises:
        InputError: another process works on it.
    """
    short = name.encode()[:100].decode(errors="ignore")  # for the name of the lock's file
    share = f"shard {shard.index} of {shard.count}" if shard else short
    with only_process(folder, share=share):
        if shard:
            refuse_other_shards(folder, shard)
        yield


def make_all(
    maker: Maker, work: Sequence[WorkItem], folder: Path, shard: Shard | None, gate: Gate | None, device: torch.device
) -> Tally:
    """`make_volumes` with its progress shown, and a line on the time and memory that it took."""
    reset_peak(device)
    started = time.monotonic()
    with bars() as show:
        tally = make_volumes(maker, work, folder, shard, gate, show)
    peak = peak_bytes(device)
    print(f"took {duration(time.monotonic() - started)}" + (f", peak memory {size(peak)}" if peak else ""))
    return tally


def report(tally: Tally, num_items: int, where: str) -> None:
    """Says what was there and what was given up, and where the reasons stand."""
    if tally.found:
        print(f"{tally.found} of {num_items} volumes are there from before, whole, and were kept")
    if tally.rejected:
        print(f"{tally.rejected} prompts never passed the gate; see {where}")


def say_moved(aside: Path | None) -> None:
    """Says where `make_room` has moved what was there."""
    if aside is not None:
        print(f"fresh=true: what was made otherwise is in {aside} now")


def say_finished(written: Sequence[Path] | None) -> None:
    """Says which files describe the dataset, or that it is not complete."""
    print("other shards have still to do their part" if written is None else f"wrote {' '.join(map(str, written))}")


def make_volumes(
    maker: Maker,
    work: Sequence[WorkItem],
    folder: Path,
    shard: Shard | None,
    gate: Gate | None,
    show: Progress,
) -> Tally:
    """Makes what is not there yet, in the place of what answers another request; see `refuse_replacing`.

    Args:
        maker: makes them.
        work: prompts with their seeds; no other process works on them.
        folder: of the dataset.
        shard: whose work it is; None keeps no manifest.
        gate: which volumes are kept; None keeps all.
        show: is told of every step.
    """
    tally = Tally()
    for done, item in enumerate(work):
        request = maker.request(item)
        if made(folder, item, request, check_hash=True) is not None:
            tally.found += 1
        elif rejected(folder, item, request, gate.plain() if gate else None) is not None:
            tally.rejected += 1
        else:
            clear_unfinished(folder, item.prompt.name)
            line = _make(maker, item, folder, gate, show)
            if line is None:
                tally.rejected += 1
            else:
                tally.made += 1
                if shard is not None:
                    append_line(folder, shard, line)
        show("volumes", done + 1, len(work))
    return tally


def _make(maker: Maker, item: WorkItem, folder: Path, gate: Gate | None, show: Progress) -> dict[str, Any] | None:
    """The line for the manifest; None where no attempt passed."""
    attempts: list[list[str]] = []
    request = maker.request(item)
    for attempt in range(gate.max_attempts if gate else 1):
        started, seed = time.monotonic(), item.seed_of(attempt)
        new = maker.make(item, seed, show)
        found, measured = gate.look_at(new.volume, item.prompt) if gate else ([], {})
        if not found:
            unwrite(folder, item.prompt.name)
            options = {**request, **new.options, "seed": seed, "attempt": attempt, **measured}
            sidecar = write_generated(folder, item.prompt, new.model, new.volume, options, new.token_ids, new.claim)
            return {**sidecar, "columns": item.prompt.columns, "seconds": round(time.monotonic() - started, 2)}
        attempts.append(found)
    assert gate is not None, "without a gate nothing has faults"
    remove_volume(folder, item.prompt.name)  # of another request; it would be counted with the dataset
    reject(folder, item, request, gate.plain(), attempts)
    return None
