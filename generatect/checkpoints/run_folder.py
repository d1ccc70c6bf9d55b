"""The folder of a run: one training at a time, and none over another."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from generatect.checkpoints.durable import LATEST, PREVIOUS
from generatect.checkpoints.resume import steps_done
from generatect.checkpoints.safe_load import load_tensors
from generatect.config.scores import SCORES
from generatect.errors import InputError
from generatect.files import atomic_path, first_free, writable_folder
from generatect.lock import only_process

CONFIG, BEST = "config.yaml", "checkpoints"
BESIDE = ("logs", "previews", "profile", "tables", "wandb", "run.json", SCORES, "skipped.csv")
"""What a run writes beside its checkpoints, weights and configurations."""

HOW_TO_START = {"resume", "fresh"}
"""Settings that say how a run begins, and nothing of what it is."""


@contextlib.contextmanager
def alone_in(output: str) -> Iterator[Path]:
    """Makes the folder of a run and holds its lock; of processes that train together the first does.

    A folder that was made for it and stays empty is removed again.

    Raises:
        InputError: the folder cannot be written, or another process trains there.
    """
    folder = Path(output).expanduser()
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    writable_folder(output)
    if rank_zero_only.rank != 0:
        yield folder
        return
    try:
        with only_process(folder):
            yield folder
    finally:
        with contextlib.suppress(OSError):  # not empty
            for path in made:
                path.rmdir()


def results_in(folder: Path, stage: str) -> list[Path]:
    """What a training of `stage` would write over or mix with its own: checkpoints of a run, weights of this stage."""
    best = sorted((folder / BEST).glob("*.ckpt"))
    found = (folder / LATEST, folder / PREVIOUS, *best, folder / f"{stage}.safetensors")
    return [path for path in found if path.is_file()]


def refuse_to_overwrite(folder: Path, stage: str, resume: str | None) -> None:
    """Refuses to train anew, or to go on from another folder's checkpoint, where a run has left results.

    Args:
        folder: of the run.
        stage: to train.
        resume: the checkpoint to go on from.

    Raises:
        InputError: naming what is there, and the ways on.
    """
    results = results_in(folder, stage)
    if not results or (resume is not None and Path(resume).resolve().is_relative_to(folder.resolve())):
        return
    can_resume = results[0].suffix == ".ckpt" and resume is None
    raise InputError(
        f"output={folder}: holds a run ({_age(results[0], folder)}), which this one would write over; "
        + ("resume=auto goes on with it, " if can_resume else "")
        + "fresh=true moves it aside, another output leaves it alone"
    )


def move_aside(folder: Path, stage: str, **needed: str | None) -> Path | None:
    """Moves the run in a folder, and nothing else, into `before-1` there, or the first such number that is free.

    A move that was cut is finished by the next: the folder has its name once all is in it.

    Args:
        folder: of the run.
        stage: to train anew.
        needed: settings that name files to start from.

    Returns:
        Where it is now; None where no run was.

    Raises:
        InputError: the run to move holds a file that is needed.
    """
    names = [CONFIG, *(path.name for path in sorted(folder.glob("config-*.yaml"))), *BESIDE, f"{stage}.safetensors"]
    names += [BEST, PREVIOUS, LATEST]  # last, so that what is left of a move that was cut is still a run
    present = [folder / name for name in names if (folder / name).exists()]
    for key, value in needed.items():
        file = None if value is None else Path(value).expanduser().resolve()
        if file is not None and any(file.is_relative_to(path.resolve()) for path in present):
            raise InputError(f"{key}={value}: fresh=true would move it aside; copy it elsewhere first")
    unfinished = folder / ".before.part"
    if any((unfinished / path.name).exists() for path in present):  # of a run that was moved before
        unfinished.rename(first_free(folder, "before-{}"))
    if not unfinished.is_dir():
        if not results_in(folder, stage) and not (folder / CONFIG).exists():
            return None
        unfinished.mkdir()
    for path in present:
        os.replace(path, unfinished / path.name)
    return unfinished.rename(first_free(folder, "before-{}"))


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Writes `config.yaml`; one with other settings stays beside it as `config-1.yaml` and so on, the oldest first."""
    path = folder / CONFIG
    if path.exists():
        if _read(path) == _identity(settings):
            return
        with atomic_path(first_free(folder, "config-{}.yaml")) as temporary:
            shutil.copyfile(path, temporary)
    with atomic_path(path) as temporary:
        OmegaConf.save(OmegaConf.create(settings), temporary)


def _read(path: Path) -> dict[str, Any] | None:
    """The settings in a file; None where somebody has damaged it."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException):
        return None
    return _identity(content) if isinstance(content, dict) else None


def _identity(settings: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(OmegaConf.create(settings))
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key not in HOW_TO_START}


def _age(path: Path, folder: Path) -> str:
    """Which file of a run it is, how far it has come, and when."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
    try:
        step = f" of step {steps_done(load_tensors(path))}" if path.suffix == ".ckpt" else ""
    except (ValueError, KeyError, TypeError, OSError):  # weights alone, or damaged
        step = ""
    return f"{path.relative_to(folder)}{step}, {when}"
