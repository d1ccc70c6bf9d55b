"""What a finished training says: how it went, and what comes next."""

import shlex
from pathlib import Path

from generatect.checkpoints.stage_file import STAGES
from generatect.config.scores import SCORES, read_scores
from generatect.progress import duration

METRIC = "val/loss"


def closing(stage: str, folder: Path, tokenizer: str | None, seconds: float) -> str:
    """The last lines of a training.

    Args:
        stage: that was trained.
        folder: its output.
        tokenizer: of a later stage, as it was named.
        seconds: that the training took.
    """
    best = read_scores(folder / SCORES).best(METRIC)
    went = "" if best is None else f"best {METRIC} {best[1][METRIC]:.4g} after step {best[0]}; "
    return f"{went}took {duration(seconds)}\nnext: {next_command(stage, folder, tokenizer)}"


def next_command(stage: str, folder: Path, tokenizer: str | None) -> str:
    """The command that uses what has been trained: the next stage, or all three once they are there.

    Args:
        stage: that was trained.
        folder: its output.
        tokenizer: of a later stage, as it was named.
    """
    if stage not in STAGES:
        return f"python -m generatect.generate prompts=TABLE gate.classifier={_word(folder / f'{stage}.safetensors')}"
    where = folder if stage == "ctvit" else Path(str(tokenizer)).expanduser()
    found = {"ctvit": _found("ctvit", where), stage: _found(stage, folder)}
    for other in STAGES:
        if other not in found:
            found[other] = next((path for place in (folder.parent, where) if (path := _found(other, place))), None)
    missing = next((name for name in STAGES if found[name] is None), None)
    if missing is not None:
        return f"python -m generatect.train stage={missing} tokenizer={_word(where)}"
    if all(_found(name, folder.parent) for name in STAGES):
        return f'python -m generatect.generate prompt="Normal examination." weights={_word(folder.parent)}'
    files = ",".join(f"{name}:{found[name]}" for name in STAGES)
    return f'python -m generatect.generate prompt="Normal examination." weights={_word(f"{{{files}}}")}'


def _found(stage: str, place: Path) -> Path | None:
    """The file of a stage that a folder holds, as `weights=` finds it there; a file is itself."""
    if place.is_file():
        return place
    paths = (place / f"{stage}.safetensors", place / stage / f"{stage}.safetensors", place / f"{stage}.ckpt")
    return next((path for path in paths if path.is_file()), None)


def _word(value: object) -> str:
    return shlex.quote(str(value))
