"""Trainings that are broken off at random moments, a hundred in the time of ten; run by tests as a process.

    python warm_scenarios.py SCENARIO COUNT RESUMED FOLDER

Of COUNT broken-off trainings so many are RESUMED, too. Prints a line of JSON for each.
"""

import fcntl
import itertools
import os
import random
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from generatect.checkpoints.durable import LATEST
from generatect.signals import ENDING, Interrupted
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
    """Each way to end a run, at each kind of moment; each run that is left is resumed to its end.

    A HUP is a terminal that is closed indeed; of two Ctrl-C the second comes while the first is answered, in the middle
    of the writing of a checkpoint. What is encoded before the first step is there for the next run.
    """
    settings = ("steps=8", "val_every=3", "stage.datamodule.val_fraction=0.2")
    for stage in ("ctvit", "transformer"):
        process = start(folder, f"whole-{stage}", *settings, "callbacks.latest.every=1", stage=stage)
        say(run=f"whole-{stage}", ended=wait(process))
    settings += ("callbacks.latest.every=4",)
    moments = {"training": ("train", 4), "validation": ("val", 1), "tokenizing": ("tokens", 3)}
    for (moment, place), way in itertools.product(moments.items(), WAYS):
        name, seen, end = f"{moment}-{way}", list[tuple[str, int]](), WAYS[way]
        stage = "transformer" if moment == "tokenizing" else "ctvit"
        own = (f"cache_dir={folder / name / 'cache'}",) if moment == "tokenizing" else ()

        def end_here(*now: Any, seen: list = seen, place: tuple = place, end: Callable[[], None] = end) -> None:
            seen.append(now)
            if now == place and (place[0] == "tokens" or ("train", 4) in seen):
                end()

        begun = time.monotonic()
        ended = wait(start(folder, name, *settings, *own, stage=stage, before_batch=end_here))
        steps, err, seconds = survivor(folder / name, stage), said(folder, name), time.monotonic() - begun
        whole = all(map(is_readable, (folder / name).rglob("*.ckpt")))
        parts, kept = (len(list((folder / name).rglob(suffix))) for suffix in (".*.part", "*.npy"))
        say(run=name, ended=ended, steps=steps, err=err, kept=kept, whole=whole, parts=parts, seconds=seconds)
        process = start(folder, name, *settings, *own, "resume=auto", stage=stage)
        say(run=f"{name} resumed", ended=wait(process), err=said(folder, name))


def close_terminal() -> None:
    """The one that this process is run from: the system tells the first process of its session."""
    terminal, ours = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSCTTY, 0)
    for stream in (1, 2):
        os.dup2(ours, stream)
    os.close(terminal)


def press_twice() -> None:
    """The second Ctrl-C comes when half of a checkpoint is written, or while a run ends that has none to write."""

    def save(content: object, file: IO[bytes]) -> None:
        file.write(b"half of a checkpoint")
        os.kill(os.getpid(), signal.SIGINT)

    torch.save = save
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except Interrupted:
        os.kill(os.getpid(), signal.SIGINT)


WAYS: dict[str, Callable[[], None]] = {
    "INT": lambda: os.kill(os.getpid(), signal.SIGINT),
    "HUP": close_terminal,
    "TERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "USR1": lambda: os.kill(os.getpid(), signal.SIGUSR1),
    "twice": press_twice,
}


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
        number, begun = ENDING[turn % len(ENDING)], time.monotonic()
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
    for number in ENDING:  # whatever started the tests may ignore some
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    scenarios = {"kills": kills, "signals": signals, "workers": workers, "halves": halves, "preparation": preparation}
    scenarios[sys.argv[1]](Path(sys.argv[4]), int(sys.argv[2]), int(sys.argv[3]))
