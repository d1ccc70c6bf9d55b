"""Trainings that are broken off at random moments, a hundred in the time of ten; run by tests as a process.

    python warm_scenarios.py SCENARIO COUNT RESUMED FOLDER

Of COUNT broken-off trainings so many are RESUMED, too. Prints a line of JSON for each.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from generatect.checkpoints.durable import LATEST
from tests.stages.warm_training import (
    NETWORKS,
    await_,
    await_batches,
    broken_off,
    is_readable,
    said,
    say,
    start,
    survivor,
    wait,
)

ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def kills(folder: Path, count: int, resumed: int) -> None:
    """SIGKILL at random moments, every other time within the writing of a checkpoint."""
    chance, output = random.Random(0), folder / "killed"
    settings = ("steps=100000", "val_every=3", "callbacks.latest.every=1")

    def kill(turn: int, process: int) -> None:
        if turn % 2:
            await_(lambda: any(output.glob("**/.*.ckpt.*.part")), process)
            time.sleep(chance.random() * 0.01)
        else:
            await_batches(folder, "killed", process, chance.randrange(3))
            time.sleep(chance.random() * 0.1)
        os.killpg(process, signal.SIGKILL)
        ended, last = wait(process), output / LATEST
        unfinished = len(list(output.glob("**/.*.part")))
        for path in output.glob("**/.*.part"):  # which the next run would do, were it not a fork
            path.unlink()
        readable = not last.exists() or is_readable(last)
        say(run="killed", ended=ended, unfinished=unfinished, readable=readable, steps=survivor(output))

    for copy in broken_off(folder, "killed", count, resumed, settings, kill):
        steps = survivor(copy)
        process = start(folder, copy.name, *settings[1:], f"steps={steps + 2}", "resume=auto")
        say(run="resumed", ended=wait(process), steps=steps, then=survivor(copy), err=said(folder, copy.name))


def signals(folder: Path, count: int, resumed: int) -> None:
    """A signal at random moments of a training, and of a validation; the next runs go on with what it left."""
    chance = random.Random(1)
    settings = ("steps=24", "val_every=3")
    say(run="whole", ended=wait(start(folder, "whole-ctvit", *settings, "callbacks.latest.every=1")))

    def send(turn: int, process: int) -> None:
        await_batches(folder, "signalled", process, chance.randrange(6))
        time.sleep(chance.random() * 0.15)
        number, begun = chance.choice(ENDING), time.monotonic()
        (os.killpg if turn % 2 else os.kill)(process, number)
        if turn % 5 == 0:
            time.sleep(chance.random() * 0.02)
            os.kill(process, signal.SIGTERM)  # a second one, perhaps while the first is answered
        ended, seconds = wait(process), time.monotonic() - begun
        steps, err = survivor(folder / "signalled"), said(folder, "signalled")
        say(run="signalled", ended=ended, number=number, seconds=seconds, steps=steps, err=err)

    kept = broken_off(folder, "signalled", count, resumed, (*settings, "callbacks.latest.every=7"), send)
    for copy in kept:
        process = start(folder, copy.name, *settings, "callbacks.latest.every=7", "resume=auto")
        say(run=copy.name, ended=wait(process), err=said(folder, copy.name))


def workers(folder: Path, count: int, resumed: int) -> None:
    """Signals to a training with worker processes, or to all of them together; each run resumes the last.

    Every third signal may come before the first batch.
    """
    chance, name = random.Random(2), "workers"
    settings = (f"steps={3 * count}", "val_every=5")
    say(run="whole", ended=wait(start(folder, "whole-ctvit", *settings, "callbacks.latest.every=1")))
    settings += ("callbacks.latest.every=7", "stage.datamodule.num_workers=2", "resume=auto")
    for turn in range(count):
        process = start(folder, name, *settings)
        if turn % 3 != 2:
            await_batches(folder, name, process, 1)
        time.sleep(chance.random() * 0.4)
        number, begun = chance.choice(ENDING), time.monotonic()
        (os.killpg if turn % 2 else os.kill)(process, number)
        ended, seconds = wait(process), time.monotonic() - begun
        steps, err = survivor(folder / name), said(folder, name)
        say(run=name, ended=ended, number=number, seconds=seconds, steps=steps, err=err)
    say(run="rest", ended=wait(start(folder, name, *settings)), err=said(folder, name))


def halves(folder: Path, count: int, resumed: int) -> None:
    """For each stage a run of 20 steps, and `count` that a signal ends in the middle and that are resumed.

    The first is ended within its tenth step, between two validations; the second, which loads in processes of its own,
    within the validation after its tenth step, and the signal goes to these processes, too.
    """
    for stage in NETWORKS:
        settings = ("steps=20", "callbacks.latest.every=20", "stage.datamodule.val_fraction=0.2")
        whole = start(folder, f"whole-{stage}", *settings, "val_every=5", stage=stage)
        say(stage=stage, run=f"whole-{stage}", ended=[wait(whole)])
        for num_workers, every, where in ((0, 4, ("train", 9)), (2, 5, ("val", 1)))[:count]:
            name = f"halves-{stage}-{num_workers}"
            rest = (*settings, f"stage.datamodule.num_workers={num_workers}", f"val_every={every}", "resume=auto")
            seen: list[tuple[str, int]] = []

            def end(*place: Any, seen: list = seen, where: tuple = where) -> None:
                seen.append(place)
                if place == where and ("train", 9) in seen:
                    os.killpg(0, signal.SIGTERM)

            first = wait(start(folder, name, *rest, stage=stage, before_batch=end))
            err = said(folder, name)
            second = wait(start(folder, name, *rest, stage=stage))
            say(stage=stage, run=name, ended=[first, second], err=err, then=said(folder, name))


def preparation(folder: Path, count: int, resumed: int) -> None:
    """A signal of SLURM while tokens are encoded, before there is a batch; what has been encoded stays."""
    say(run="tokenizer", ended=wait(start(folder, "whole-ctvit", "steps=1", "val_every=1")))
    settings = ("steps=1", "val_every=1", "data.pairs.num=400")
    cache = folder / "cache"
    for turn in range(count):
        before = len(list(cache.rglob("*.npy")))
        os.environ["SLURM_JOB_ID"] = str(70 + turn)
        process = start(folder, f"prepared-{turn}", *settings, stage="transformer")
        await_(lambda before=before: len(list(cache.rglob("*.npy"))) > before, process)
        os.kill(process, signal.SIGUSR1)
        ended = wait(process)
        say(ended=ended, before=before, then=len(list(cache.rglob("*.npy"))), err=said(folder, f"prepared-{turn}"))


if __name__ == "__main__":
    torch.set_num_threads(1)  # what uses threads cannot be forked
    signal.alarm(900)  # whoever does not end is found out
    scenarios = {"kills": kills, "signals": signals, "workers": workers, "halves": halves, "preparation": preparation}
    scenarios[sys.argv[1]](Path(sys.argv[4]), int(sys.argv[2]), int(sys.argv[3]))
