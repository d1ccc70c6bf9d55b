"""`python -m generatect.prepare data=… [tokenizer=FILE]`: fills the caches that training reads, in one pass."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rich import progress
from rich.text import Text

from generatect.checkpoints.rebuild import rebuild_network, rebuild_preset
from generatect.checkpoints.weights import read_stage_of
from generatect.config.build import build
from generatect.config.command import run_command
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.pairs import Pairs
from generatect.data.preparation import Step, Survey, carry_out, describe, survey
from generatect.data.preparation_steps import (
    RESOLUTIONS,
    VolumeArrays,
    reconstruction_step,
    report_step,
    token_step,
)
from generatect.data.processes import num_processes
from generatect.data.reconstructions import Reconstructions
from generatect.data.tokens import VolumeTokens
from generatect.errors import InputError
from generatect.files import atomic_path, writable_folder
from generatect.pipeline import pick_device
from generatect.progress import duration, rate, size
from generatect.text.conditioner import build_conditioner

WORKER_BYTES = 3e9
"""Memory that reading and resampling a large scan takes."""


def prepare(
    *,
    model: dict[str, Any],
    preset: dict[str, Any],
    data: dict[str, Any],
    text_encoder: dict[str, Any],
    tokenizer: str | None,
    resolutions: list[str],
    workers: int | str,
    batch_size: int,
    device: str,
    seed: int,
    output: str,
    cache_dir: str,
) -> None:
    """Makes what training would make on its way: volumes on the model's grids, features of reports, tokens.

    With the settings of the training (`data`, `text_encoder`, `cache_dir`, and `model` and `preset` or `tokenizer`) it
    fills the very caches that the training reads. It goes on where it was interrupted. A volume that cannot be read is
    left out, whatever data.on_bad says, and stands with its reason in OUTPUT/prepared.jsonl, as every volume does with
    its geometry and how its values became HU.

    Args:
        model: sizes of the volumes, which the preset takes over.
        preset: how a volume comes onto the model's grid; with a tokenizer, its own counts.
        data: source of pairs of volume and report.
        text_encoder: reports → features; kept where it is frozen.
        tokenizer: checkpoint of stage `ctvit`; with it tokens and, for "high", reconstructions are made.
        resolutions: "low", "high" or both.
        workers: processes that read and resample; "auto" for as many as cores and memory allow.
        batch_size: volumes encoded at a time.
        device: of tokenizer and text encoder.
        seed: of phantoms; nothing else here is random.
        output: folder of prepared.jsonl.
        cache_dir: folder of the caches.

    Raises:
        InputError: a setting or the archive cannot be used, most volumes cannot be read, or the disk will not do; and,
            after the others are done, where volumes were left out without data.on_bad=skip.
    """
    started = time.monotonic()
    _check(resolutions, tokenizer, batch_size, data, cache_dir)
    num_workers, where = num_processes(workers, WORKER_BYTES), pick_device(device)
    file = None if tokenizer is None else read_stage_of(tokenizer, "ctvit", "tokenizer")
    text = build_conditioner({**text_encoder, "adapter": None}, cache_dir=cache_dir).to(where)
    pairs = build(data["pairs"])
    folder, cache = writable_folder(output), ArrayCache(cache_dir)
    inputs = ModelInputs(pairs, build(preset) if file is None else rebuild_preset(file), cache)

    arrays = VolumeArrays(inputs, resolutions)
    steps = [arrays.step(num_workers)]
    if text.cache is not None:
        steps.append(report_step(inputs, text, text.describe()["encoder"]["max_tokens"]))
    if file is not None:
        network = rebuild_network(file, "ctvit").to(where)
        steps.append(token_step(VolumeTokens(inputs, network, file.sha256, cache), batch_size))
        if "high" in resolutions:
            steps.append(reconstruction_step(Reconstructions(inputs, network, file.sha256, cache)))

    if removed := cache.remove_unfinished():
        print(f"removed {removed} unfinished files of a run that was killed")
    with _bars() as show:
        work = survey(steps, len(pairs), lambda items, total: _shown(items, "looking", total, show))
    print(describe(steps, work, cache.folder))
    if data.get("cache_dir") is None and "low" in resolutions:
        print("data.cache_dir=null: stages ctvit and transformer will compute low-resolution volumes, not read these")
    with _bars() as show:
        made = carry_out(steps, work, cache.folder, show)
    _write_record(folder / "prepared.jsonl", pairs, arrays, work)
    print(summary(steps, work, made, time.monotonic() - started))
    print(f"wrote {folder / 'prepared.jsonl'}")
    if work.left_out and data.get("on_bad") != "skip":
        raise InputError(
            f"data: {len(work.left_out)} of {work.num} volumes cannot be read, each listed above and in "
            "prepared.jsonl; the others are done; mend or remove them, or leave them out with data.on_bad=skip"
        )


def summary(steps: list[Step], work: Survey, made: dict[str, int], seconds: float) -> str:
    """What the pass found, made and left out, a line each."""
    num_bytes = sum(made[step.what] * step.bytes_each for step in steps)
    lines = [
        f"{step.what}: {work.there[step.what]} were there ({work.there[step.what] / work.num:.0%} hits), "
        f"{made[step.what]} made"
        for step in steps
    ]
    lines.append(f"skipped {len(work.left_out)} of {work.num} volumes (unreadable)")
    lines += [f"  {reason}" for reason in work.left_out.values()]
    lines.append(f"at most {size(num_bytes)} written in {duration(seconds)}")
    return "\n".join(lines)


def _check(
    resolutions: list[str], tokenizer: str | None, batch_size: int, data: dict[str, Any], cache_dir: str
) -> None:
    if not resolutions or set(resolutions) - set(RESOLUTIONS) or len(set(resolutions)) < len(resolutions):
        raise InputError(f"resolutions={resolutions}: expected [low], [high] or [low,high]")
    if tokenizer is not None and "low" not in resolutions:
        raise InputError(f"resolutions={resolutions}: tokens are made of low-resolution volumes; add low")
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: expected at least 1")
    if data.get("cache_dir") not in (None, cache_dir):
        raise InputError(f"data.cache_dir={data['cache_dir']}: expected cache_dir={cache_dir}, the one folder to fill")


def _write_record(path: Path, pairs: Pairs, arrays: VolumeArrays, work: Survey) -> None:
    """A line of JSON for each volume."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for index in range(work.num):
            reason = work.left_out.get(index)
            content = arrays.record(index) if reason is None else {"left_out": reason}
            file.write(json.dumps({"name": pairs.name(index), **content}) + "\n")


class _Rate(progress.ProgressColumn):
    """Items a second, measured over the last while."""

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else rate(speed))


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yields `show(what, done, total)`: a bar for each thing that is made, with rate and remaining time."""
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        _Rate(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns) as display:
        tasks: dict[str, progress.TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(what, total=total)
            display.update(tasks[what], completed=done)

        yield show


def _shown(items: Iterable, what: str, total: int, show: Callable[[str, int, int], None]) -> Iterator:
    for done, item in enumerate(items, start=1):
        yield item
        show(what, done, total)


if __name__ == "__main__":
    run_command("prepare", prepare)
