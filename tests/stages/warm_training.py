"""A command that is imported once and then forked, since importing takes longer than a tiny training.

What runs in a fork is what a user runs: the command line, composed by Hydra. It notes what it has seen; nothing of it
is replaced.
"""

import hashlib
import json
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra

from generatect.checkpoints.durable import DurableCheckpointIO
from generatect.checkpoints.newest import checkpoint_to_resume
from generatect.checkpoints.resume import steps_done
from generatect.checkpoints.safe_load import load_tensors
from generatect.checkpoints.stage_file import EMA_KEY
from generatect.config.command import run_command
from generatect.data.cache import ArrayCache
from generatect.stages.base import Stage
from generatect.train import train

SMALL = ("model=tiny", "data.pairs.num=20", "stage.datamodule.batch_size=2", "text_encoder.encoder.num_buckets=64")
QUIET = ("trainer.accelerator=cpu", "+trainer.enable_progress_bar=false", "~callbacks.previews", "~callbacks.progress")
AVERAGED = ("callbacks.ema.every=1", "callbacks.ema.start=0", "stage.module.warmup_steps=3")
NETWORKS = {"ctvit": "[ctvit]", "transformer": "[maskgit,text]", "superres": "[unet,text]"}
RESULTS = os.dup(1)


def start(
    folder: Path,
    name: str,
    *overrides: str,
    stage: str = "ctvit",
    before_batch: Callable[[str, int], None] = lambda *_: None,
) -> int:
    """Forks the command; returns the process's number. Its output is FOLDER/NAME, what it says and sees beside it."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    for number, stream in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{name}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), number)
    code = 1
    try:
        note_down(folder / f"{name}.jsonl", before_batch)
        GlobalHydra.instance().clear()
        where = (f"output={folder / name}", f"cache_dir={folder / 'cache'}", f"stage.averaged={NETWORKS[stage]}")
        tokenizer = () if stage == "ctvit" else (f"tokenizer={folder / 'whole-ctvit' / 'ctvit.safetensors'}",)
        sys.argv = ["train", f"stage={stage}", *SMALL, *QUIET, *AVERAGED, *where, *tokenizer, *overrides]
        run_command("train", train)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def note_down(path: Path, before_batch: Callable[[str, int], None]) -> None:
    """Has the training write a line for each batch it begins and each checkpoint it has written.

    `before_batch` is called with "train", "val" or "tokens" and the number of the batch.
    """
    begin, save, put = Stage.on_train_batch_start, DurableCheckpointIO.save_checkpoint, ArrayCache.put
    encoded: list[tuple] = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(**values: object) -> None:
        os.write(file, json.dumps(values).encode() + b"\n")

    def on_train_batch_start(stage: Stage, batch: dict, batch_idx: int) -> None:
        begin(stage, batch, batch_idx)
        states = (random.getstate(), np.random.get_state(), torch.get_rng_state().tolist())  # noqa: NPY002
        note(batch=batch_idx, names=list(batch["name"]), random=hashlib.sha256(repr(states).encode()).hexdigest())
        before_batch("train", batch_idx)

    def on_validation_batch_start(stage: Stage, batch: dict, batch_idx: int) -> None:
        before_batch("val", batch_idx)

    def put_into_cache(cache: ArrayCache, parts: tuple, array: np.ndarray) -> None:
        if parts[0] == "tokens":
            before_batch("tokens", len(encoded))
            encoded.append(parts)
        put(cache, parts, array)

    def save_checkpoint(io: DurableCheckpointIO, checkpoint: dict, *args: object, **kwargs: object) -> None:
        save(io, checkpoint, *args, **kwargs)
        note(saved=steps_done(checkpoint), **digests(checkpoint))

    Stage.on_train_batch_start = on_train_batch_start
    Stage.on_validation_batch_start = on_validation_batch_start
    DurableCheckpointIO.save_checkpoint = save_checkpoint
    ArrayCache.put = put_into_cache


def digests(checkpoint: dict) -> dict[str, str]:
    """Hashes of what must be the same bit for bit."""
    parts = {"weights": "state_dict", "average": EMA_KEY, "optimizers": "optimizer_states", "rates": "lr_schedulers"}
    return {name: _digest(checkpoint.get(key)) for name, key in parts.items()}


def _digest(content: object) -> str:
    hasher = hashlib.sha256()

    def add(value: object) -> None:
        if isinstance(value, torch.Tensor):
            hasher.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                hasher.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for item in value:
                add(item)
        else:
            hasher.update(repr(value).encode())

    add(content)
    return hasher.hexdigest()


def wait(process: int) -> int:
    """How a process ended: its exit code, or the negative number of the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def await_batches(folder: Path, name: str, process: int, count: int) -> None:
    """Returns when the training has begun so many batches more, or has ended."""
    notes = folder / f"{name}.jsonl"

    def begun() -> int:
        return notes.read_bytes().count(b'"batch"') if notes.exists() else 0

    wanted = begun() + count
    await_(lambda: begun() >= wanted, process)


def await_(is_so: Callable[[], bool], process: int) -> None:
    """Returns when something is so, or the process has ended."""
    while not is_so() and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.0005)


def say(**values: object) -> None:
    """One line of JSON for the test, from a fork as well."""
    os.write(RESULTS, json.dumps(values).encode() + b"\n")


def said(folder: Path, name: str) -> str:
    """What a training has printed as errors."""
    return (folder / f"{name}.err").read_text()


def survivor(folder: Path, stage: str = "ctvit") -> int:
    """Steps of the checkpoint that a broken-off run would go on from; 0 where it would start anew."""
    path = checkpoint_to_resume("auto", stage, folder)
    return 0 if path is None else steps_done(load_tensors(Path(path)))


def is_readable(path: Path) -> bool:
    """Whether torch can load a file."""
    try:
        torch.load(path, weights_only=True)
    except Exception:
        return False
    return True


def broken_off(
    folder: Path, name: str, count: int, resumed: int, settings: tuple[str, ...], end: Callable
) -> list[Path]:
    """Forks a training `count` times as it begins its first batch; `end(turn, process)` has to end each fork.

    Returns:
        So many copies of what they left as shall be resumed.
    """
    kept = [folder / f"{name}-{turn}" for turn in range(count) if turn % (count // resumed) == 0][:resumed]

    def fork(part: str, batch_idx: int) -> None:
        if (part, batch_idx) != ("train", 0):
            return
        for turn in range(count):
            os.truncate(folder / f"{name}.err", 0)
            process = os.fork()
            if process == 0:
                os.setsid()
                return
            end(turn, process)
            if folder / f"{name}-{turn}" in kept:
                shutil.copytree(folder / name, folder / f"{name}-{turn}")
        os._exit(0)

    assert wait(start(folder, name, *settings, before_batch=fork)) == 0
    return kept
