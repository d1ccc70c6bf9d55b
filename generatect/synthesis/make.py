"""Makes the volumes of a work list, each whole or not at all, and goes on where an earlier process ended."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generatect.ct.volume import CTVolume
from generatect.files import temporary_prefix
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.progress import Progress
from generatect.sidecar import ENDINGS, write_generated
from generatect.synthesis.gate import Gate
from generatect.synthesis.kept import REJECTED, made, reject, rejected
from generatect.synthesis.manifest import append_line
from generatect.synthesis.work import Shard, WorkItem


@dataclass
class Tally:
    """What became of a work list: volumes found whole, made, and prompts given up."""

    found: int = 0
    made: int = 0
    rejected: int = 0


def make_volumes(
    model: TextToCT,
    work: Sequence[WorkItem],
    folder: Path,
    shard: Shard | None,
    request: Mapping[str, Any],
    tokens: TokenOptions,
    upscale: UpscaleOptions,
    gate: Gate | None,
    show: Progress,
) -> Tally:
    """Makes what is not there yet.

    Args:
        model: makes them.
        work: prompts with their seeds.
        folder: of the dataset.
        shard: whose work it is; None keeps no manifest.
        request: what decides a volume beside prompt and seed, as its sidecar names it.
        tokens: how tokens are sampled.
        upscale: how slices are refined.
        gate: which volumes are kept; None keeps all.
        show: is told of every step.
    """
    tally = Tally()
    for done, item in enumerate(work):
        if made(folder, item, request, check_hash=True) is not None:
            tally.found += 1
        elif rejected(folder, item, request, gate.plain() if gate else None) is not None:
            tally.rejected += 1
        else:
            _clear(folder, item)
            sidecar = _make(model, item, folder, request, tokens, upscale, gate, show)
            if sidecar is None:
                tally.rejected += 1
            else:
                tally.made += 1
                if shard is not None:
                    append_line(folder, shard, sidecar)
        show("volumes", done + 1, len(work))
    return tally


def one_volume(
    model: TextToCT, text: str, seed: int, tokens: TokenOptions, upscale: UpscaleOptions, show: Progress
) -> CTVolume:
    """From a prompt to HU and millimetres; the same prompt and seed give the same volume, whatever was made before."""
    lowres = model.sample_lowres([text], seed, tokens, show)
    return model.preset.to_volume(model.upscale(lowres[0], text, seed, upscale, show), upscaled=True)


def _make(
    model: TextToCT,
    item: WorkItem,
    folder: Path,
    request: Mapping[str, Any],
    tokens: TokenOptions,
    upscale: UpscaleOptions,
    gate: Gate | None,
    show: Progress,
) -> dict[str, Any] | None:
    """The line for the manifest; None where no attempt passed."""
    attempts: list[list[str]] = []
    for attempt in range(gate.max_attempts if gate else 1):
        started, seed = time.monotonic(), item.seed_of(attempt)
        volume = one_volume(model, item.prompt.text, seed, tokens, upscale, show)
        found, measured = gate.look_at(volume, item.prompt) if gate else ([], {})
        if not found:
            options = {**request, "seed": seed, "attempt": attempt, **measured}
            sidecar = write_generated(folder, item.prompt, model, volume, options)
            return {**sidecar, "columns": item.prompt.columns, "seconds": round(time.monotonic() - started, 2)}
        attempts.append(found)
    assert gate is not None, "without a gate nothing has faults"
    reject(folder, item, request, gate.plain(), attempts)
    return None


def _clear(folder: Path, item: WorkItem) -> None:
    """Removes what a killed process left of this volume, and what answered another request."""
    name = item.prompt.name
    begun = tuple(temporary_prefix(f"{name}{ending}") for ending in (*ENDINGS, REJECTED))
    for part in folder.glob(".*.part"):
        if part.name.startswith(begun):
            part.unlink(missing_ok=True)
    (folder / f"{name}{REJECTED}").unlink(missing_ok=True)
