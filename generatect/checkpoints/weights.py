"""Finds the three stages that `weights=` names."""

import os
from collections.abc import Mapping
from pathlib import Path

from generatect import __version__
from generatect.checkpoints.hub import fetch_model, fetch_released
from generatect.checkpoints.stage_file import STAGES, StageFile, read_stage_file
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.hub_access import model_id, not_asked

# Shipped with the package: trained on the phantom alone, for development and proof.
SHIPPED = {"phantom": Path(__file__).resolve().parents[1] / "weights" / "phantom"}
# Those of the GenerateCT authors, from the Hub.
RELEASED = "released"


def find_weights(weights: str | Mapping[str, str], stage: str, cache_dir: str | None = None) -> StageFile:
    """Reads the file of one stage.

    Args:
        weights: "phantom" (shipped), "released" (fetched from the Hub at its first use), a folder with a file per stage
            (see `read_stage_of`), a model on the Hub as ORG/NAME (see `model_id`), or a mapping from stage to file
            (`weights={ctvit:A,transformer:B,superres:C}`).
        stage: "ctvit", "transformer" or "superres".
        cache_dir: where converted files are kept; None: `GENERATECT_CACHE`, or ~/.cache/generatect.

    Raises:
        InputError: nothing there, nor on the Hub as far as it can be reached, or a file of another stage.
    """
    if isinstance(weights, Mapping):
        unknown = sorted(set(weights) - set(STAGES))
        if unknown:
            raise InputError(f"weights.{unknown[0]}: no such stage, expected one of {', '.join(STAGES)}")
        if stage not in weights:
            raise InputError(f"weights: no file for stage '{stage}'; add {stage}:FILE")
        return read_stage_file(weights[stage], stage, f"weights.{stage}")
    if weights == RELEASED:
        copy = _released(stage, cache_dir)
        try:
            return read_stage_file(copy, stage, "weights")
        except InputError:  # a disk has damaged it; the published file is still there
            copy.unlink()
            return read_stage_file(_released(stage, cache_dir), stage, "weights")
    path = SHIPPED.get(weights, Path(weights).expanduser())
    if not path.exists():
        repo_id = model_id(weights)
        if repo_id is None:
            raise InputError(
                f"weights={weights}: no such file; name a checkpoint that a training wrote, or its folder"
                + not_asked(weights)
            )
        path = fetch_model(repo_id)
    return read_stage_of(path, stage, "weights")


def _released(stage: str, cache_dir: str | None) -> Path:
    """The published file of a stage in our form: converted at the first use, then remembered.

    The Hub's commit is in the path that it fetched to and says which bytes these are, at no cost: a hash would read
    hundreds of megabytes at every start, and the name of the blob behind the path is lost where links are not
    possible. Our version says what conversion makes of them. Two processes at once convert twice, to the same bytes,
    and each moves a whole file into place.
    """
    source = fetch_released(stage)
    commit = source.parents[1].name
    cache = Path(cache_dir or os.environ.get("GENERATECT_CACHE", "~/.cache/generatect")).expanduser()
    output = cache / "released" / f"{commit}-{__version__}" / f"{stage}.safetensors"
    if not output.is_file():
        from generatect.checkpoints.convert import convert_file

        try:
            convert_file(source, writable_folder(output.parent, "cache_dir") / output.name)
        except InputError as error:
            raise InputError(f"weights=released: {error}") from error
    return output


def read_stage_of(path: str | Path, stage: str, setting: str) -> StageFile:
    """Reads a stage from a file, or from the folder that a training or several trainings wrote.

    A folder is searched for `STAGE.safetensors`, `STAGE/STAGE.safetensors`, `STAGE.ckpt` and the published
    `STAGE_pretrained.pt`, in this order.

    Raises:
        InputError: nothing there, or a file of another stage.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return read_stage_file(path, stage, setting)
    for name in (f"{stage}.safetensors", f"{stage}/{stage}.safetensors", f"{stage}.ckpt", f"{stage}_pretrained.pt"):
        if (path / name).is_file():
            return read_stage_file(path / name, stage, setting)
    raise InputError(f"{setting}={path}: no {stage}.safetensors in this folder; name the one that its training wrote")
