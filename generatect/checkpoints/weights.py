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
        weights: "phantom" (shipped), a folder with `STAGE.safetensors` or `STAGE.ckpt`, or a mapping from stage to file
            (`weights={ctvit:A,transformer:B,superres:C}`).
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
    folder = SHIPPED.get(weights, Path(weights))
    if folder.is_file():
        return read_stage_file(folder, stage)
    for suffix in (".safetensors", ".ckpt"):
        if (folder / f"{stage}{suffix}").is_file():
            return read_stage_file(folder / f"{stage}{suffix}", stage)
    raise InputError(
        f"weights={weights}: no {stage}.safetensors or {stage}.ckpt there; "
        f"give a folder with them, or one of: {', '.join(SHIPPED)}"
    )
