"""Finds the three stages that `weights=` names."""

from collections.abc import Mapping
from pathlib import Path

from generatect.checkpoints.stage_file import STAGES, StageFile, read_stage_file
from generatect.errors import InputError

# Shipped with the package: trained on the phantom alone, for development and proof.
SHIPPED = {"phantom": Path(__file__).resolve().parents[1] / "weights" / "phantom"}


def find_weights(weights: str | Mapping[str, str], stage: str) -> StageFile:
    """Reads the file of one stage.

    Args:
        weights: "phantom" (shipped), a folder with a file per stage (see `read_stage_of`), or a mapping from stage to
            file (`weights={ctvit:A,transformer:B,superres:C}`).
        stage: "ctvit", "transformer" or "superres".

    Raises:
        InputError: nothing there, or a file of another stage.
    """
    if isinstance(weights, Mapping):
        unknown = sorted(set(weights) - set(STAGES))
        if unknown:
            raise InputError(f"weights.{unknown[0]}: no such stage, expected one of {', '.join(STAGES)}")
        if stage not in weights:
            raise InputError(f"weights: no file for stage '{stage}'; add {stage}:FILE")
        return read_stage_file(weights[stage], stage, f"weights.{stage}")
    return read_stage_of(SHIPPED.get(weights, Path(weights)), stage, "weights")


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
