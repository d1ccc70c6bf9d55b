"""Which checkpoint of a broken-off run to go on from."""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from generatect.checkpoints.stage_file import read_stage_file
from generatect.errors import InputError

LATEST, PREVIOUS = "last.ckpt", "previous.ckpt"


@dataclass(frozen=True)
class Newest:
    """What was found in a run's folder.

    Attributes:
        path: the newest whole checkpoint; None where there is none.
        skipped: newer ones that cannot be used, each with its reason in one line.
    """

    path: Path | None
    skipped: list[str]


def checkpoint_to_resume(resume: str | None, stage: str, output: Path) -> str | None:
    """The checkpoint that the setting `resume` means; for "auto" it says what was taken and what had to be skipped.

    Args:
        resume: a `.ckpt`, "auto" for the newest whole one in `output`, or None.
        stage: the stage it must be of.
        output: folder of the run.

    Returns:
        Its path; None for a fresh start.

    Raises:
        InputError: no checkpoint of this stage, or "auto" where there are some and none is whole.
    """
    if resume == "auto":
        newest = newest_checkpoint(output, stage)
        for reason in newest.skipped:
            print(f"skipped: {reason}", file=sys.stderr)
        if newest.path is None and newest.skipped:
            raise InputError(f"resume=auto: no whole checkpoint in {output}; choose another output to start anew")
        print(
            f"resume=auto: going on from {newest.path}" if newest.path else "resume=auto: nothing there, a fresh start"
        )
        return None if newest.path is None else str(newest.path)
    if resume is not None and Path(resume).suffix != ".ckpt":
        raise InputError(
            f"resume={resume}: expected the .ckpt of an interrupted run, such as OUTPUT/last.ckpt, or auto"
        )
    if resume is not None:
        read_stage_file(resume, stage, "resume")
    return resume


def newest_checkpoint(folder: Path, stage: str) -> Newest:
    """The newest checkpoint of `stage` in a run's folder that is whole: every byte of it is compared with its checksum.

    The order is last, the one before it, then the kept best ones by date: a clock that was set back does not matter for
    the first two.
    """
    best = sorted((folder / "checkpoints").glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    skipped = []
    for path in (folder / LATEST, folder / PREVIOUS, *best):
        if not path.is_file():
            continue
        try:
            check_whole(path)
            read_stage_file(path, stage, "resume")
        except InputError as error:
            skipped.append(str(error))
            continue
        return Newest(path, skipped)
    return Newest(None, skipped)


def check_whole(path: Path) -> None:
    """Compares all that a checkpoint holds with the checksums in it; torch itself believes what it reads.

    Raises:
        InputError: the file is cut short or a byte of it has changed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"resume={path}: cut short or damaged; expected a whole checkpoint") from error
    if damaged is not None:
        raise InputError(f"resume={path}: {Path(damaged).name} in it is damaged; expected a whole checkpoint")
