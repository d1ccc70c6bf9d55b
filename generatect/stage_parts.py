"""Stages from their files: read together, compared, rebuilt."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from generatect.checkpoints.rebuild import (
    codebook_sha256,
    rebuild_network,
    rebuild_preset,
    rebuild_process,
    rebuild_text,
)
from generatect.checkpoints.stage_file import StageFile
from generatect.checkpoints.weights import find_weights
from generatect.errors import InputError


def read_stages(weights: str | Mapping[str, str], stages: Sequence[str], cache_dir: str | None) -> dict[str, StageFile]:
    """The files of some stages, which belong together.

    Args:
        weights: see `find_weights`.
        stages: the first is the one that others are compared with.
        cache_dir: folder of converted files.

    Raises:
        InputError: a file is missing or of another stage, or the stages were not trained on one tokenizer.
    """
    files = {stage: find_weights(weights, stage, cache_dir) for stage in stages}
    first, *others = files.values()
    for other in others:
        if other.description["preset"] != first.description["preset"]:
            raise InputError(f"{other.path}: trained on another grid than {first.path}; use stages of one model")
        if other.description.get("codebook_sha256") not in (None, codebook_sha256(first)):
            raise InputError(
                f"{other.path}: trained on the tokens of another tokenizer than {first.path}; use stages of one model"
            )
    return files


def shared_parts(files: Mapping[str, StageFile], where: torch.device) -> dict[str, Any]:
    """Arguments of a `StageModel`, from the files of its stages."""
    notices = [file.description.get("notice") for file in files.values()]
    return {
        "preset": rebuild_preset(next(iter(files.values()))),
        "paths": {stage: file.path.absolute() for stage, file in files.items()},
        "hashes": {stage: file.sha256 for stage, file in files.items()},
        "notice": next((notice for notice in notices if notice), None),
        "device": where,
    }


def decoder_parts(files: Mapping[str, StageFile], where: torch.device) -> dict[str, Any]:
    """What a `DecoderModel` has of its own."""
    return {"tokenizer": rebuild_network(files["ctvit"], "ctvit").to(where)}


def token_parts(
    files: Mapping[str, StageFile], where: torch.device, cache_dir: str | None, t5: str | None
) -> dict[str, Any]:
    """What a `LowresModel` has of its own."""
    has_critic = "token_critic" in (files["transformer"].description.get("networks") or {})
    return {
        "maskgit": rebuild_network(files["transformer"], "maskgit").to(where),
        "token_critic": rebuild_network(files["transformer"], "token_critic").to(where) if has_critic else None,
        "tokens_text": rebuild_text(files["transformer"], cache_dir, t5).to(where),
    }


def slice_parts(
    files: Mapping[str, StageFile], where: torch.device, cache_dir: str | None, t5: str | None
) -> dict[str, Any]:
    """What an `UpscaleModel` has of its own."""
    return {
        "unet": rebuild_network(files["superres"], "unet").to(where),
        "slices_text": rebuild_text(files["superres"], cache_dir, t5).to(where),
        "process": rebuild_process(files["superres"]),
    }
