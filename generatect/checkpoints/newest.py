"""Which checkpoint of a broken-off run to go on from."""

import sys
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from generatect.checkpoints.durable import LATEST, PREVIOUS
from generatect.checkpoints.resume import RUN_KEY, steps_done
from generatect.checkpoints.safe_load import damaged_part, load_tensors
from generatect.checkpoints.stage_file import DESCRIPTION_KEY, read_stage_file
from generatect.errors import InputError


@dataclass(frozen=True)
class Newest:
    """What was found in a run's folder.

    Attributes:
        path: the newest whole checkpoint; None where there is none.
        skipped: those that cannot be used, each with its reason in one line.
    """

    path: Path | None
    skipped: list[str]


@dataclass(frozen=True)
class _Candidate:
    path: Path
    written: float
    num_steps: int
    run: str | None

    def is_after(self, other: "_Candidate") -> bool:
        return self.written > other.written and self.num_steps > other.num_steps


def checkpoint_to_resume(resume: str | None, stage: str, output: Path) -> str | None:
    """The checkpoint that the setting `resume` means; for "auto" it says what had to be skipped.

    Args:
        resume: a `.ckpt`, "auto" for the newest whole one in `output`, or None.
        stage: the stage it must be of.
        output: folder of the run.

    Returns:
        Its path; None for a fresh start.

    Raises:
        InputError: no checkpoint of this stage or a damaged one, or "auto" where there are some and none is whole.
    """
    if resume == "auto":
        return _newest_said_aloud(stage, output)
    if resume is not None and Path(resume).suffix != ".ckpt":
        raise InputError(
            f"resume={resume}: expected the .ckpt of an interrupted run, such as OUTPUT/last.ckpt, or auto"
        )
    if resume is not None:
        read_stage_file(resume, stage, "resume")
        _look_into(Path(resume), stage)
        check_whole(Path(resume))
    return resume


def newest_checkpoint(folder: Path, stage: str) -> Newest:
    """The newest checkpoint of `stage` in a run's folder that is whole, every byte of it.

    The order is last, the one before it, then the kept best ones by date; a best one comes first if it has more steps
    and a later date, for a run may be killed after it has kept that. Steps alone would lead to another training: a
    folder may hold checkpoints of an earlier run, which are left alone, or of steps that a user went back from.
    """
    best = sorted((folder / "checkpoints").glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    candidates, skipped = [], []
    for path in (folder / LATEST, folder / PREVIOUS, *best):
        if path.is_file():
            try:
                candidates.append(_look_into(path, stage))
            except InputError as error:
                skipped.append(str(error))
    whole = []
    for candidate in candidates:
        if candidate.run != candidates[0].run or (whole and not candidate.is_after(whole[-1])):
            continue
        try:
            check_whole(candidate.path)
            read_stage_file(candidate.path, stage, "resume")
        except InputError as error:
            skipped.append(str(error))
            continue
        whole.append(candidate)
    return Newest(whole[-1].path if whole else None, skipped)


def check_whole(path: Path) -> None:
    """Compares all that a checkpoint holds with the checksums in it; torch itself believes what it reads.

    Raises:
        InputError: the file is cut short or a byte of it has changed.
    """
    try:
        damaged = damaged_part(path)
    except ValueError as error:
        raise InputError(f"resume={path}: {error}; expected a whole checkpoint") from error
    if damaged is not None:
        raise InputError(f"resume={path}: {damaged} in it is damaged; expected a whole checkpoint")


def _newest_said_aloud(stage: str, output: Path) -> str | None:
    newest = newest_checkpoint(output, stage)
    if newest.path is None and newest.skipped:
        reasons = "; ".join(newest.skipped)
        raise InputError(f"resume=auto: no whole checkpoint in {output} ({reasons}); choose another output")
    if rank_zero_only.rank == 0:  # of several processes one speaks
        for reason in newest.skipped:
            print(f"skipped: {reason}", file=sys.stderr)
    return None if newest.path is None else str(newest.path)


def _look_into(path: Path, stage: str) -> _Candidate:
    """What a checkpoint says of itself; of its tensors nothing is read.

    Raises:
        InputError: it cannot be read, is of another stage, or holds no run to go on with.
    """
    try:
        content = load_tensors(path)
    except (ValueError, OSError) as error:
        raise InputError(f"resume={path}: cut short or damaged ({error}); expected a whole checkpoint") from error
    description = content.get(DESCRIPTION_KEY)
    found = description.get("stage") if isinstance(description, dict) else None
    if found != stage:
        raise InputError(f"resume={path}: a checkpoint of stage {found!r}, expected stage '{stage}'")
    try:
        return _Candidate(path, path.stat().st_mtime, steps_done(content), content.get(RUN_KEY))
    except (KeyError, TypeError) as error:
        raise InputError(f"resume={path}: holds weights alone, no run to go on with; use init={path}") from error
