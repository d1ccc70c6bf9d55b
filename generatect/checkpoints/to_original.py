"""A stage of ours as the file that the original code loads: the way back of `released_stage`."""

from typing import Any

import torch
from torch import Tensor

from generatect.checkpoints.codebook import hash_codebook
from generatect.checkpoints.released import T5
from generatect.checkpoints.released_discriminator import discriminator_to_original
from generatect.checkpoints.released_layout import prefixed
from generatect.checkpoints.released_superres import unet_to_original
from generatect.checkpoints.released_tokens import ctvit_to_original, maskgit_to_original
from generatect.checkpoints.stage_file import STAGES, StageFile
from generatect.errors import InputError

EMPTY_UNET = "unets.0.dummy_parameter"
"""All that the original's first U-Net holds, which stands for the low-resolution model and computes nothing."""
AVERAGING_STATE = {"initted": torch.ones(1), "step": torch.zeros(1, dtype=torch.long)}
UNKNOWN_STEPS = [0, 1]
"""Steps of either U-Net where a file does not say: the original calls a U-Net without any untrained."""


def original_content(
    file: StageFile, tokenizer: StageFile | None = None, vgg: dict[str, Tensor] | None = None
) -> dict[str, Any]:
    """What the original would have saved for this stage, in fp32.

    Tensors that a converted file keeps for it come back as they were; for a stage trained here they are made anew.

    Args:
        file: the stage.
        tokenizer: for stage "transformer" where the file keeps none: the original's file holds both.
        vgg: VGG16 by torchvision's names, for stage "ctvit" where the file keeps none.

    Raises:
        InputError: a mended network, which the original would compute otherwise, a text encoder that it lacks, or
            something that its file holds and neither this one nor the arguments do.
    """
    stage = file.description["stage"]
    if stage not in STAGES:
        raise InputError(f"{file.path}: the original has no stage '{stage}'; expected one of {', '.join(STAGES)}")
    for name, arguments in file.description["networks"].items():
        if name != "unet" and arguments.get("compat", "mended") != "released":  # the U-Net has one form
            raise InputError(
                f"{file.path}: networks.{name} is of the mended form, which the original computes otherwise; "
                "train with model=released"
            )
    text = file.description.get("text")
    if text and (text["encoder"]["kind"] != T5["kind"] or text.get("adapter")):
        raise InputError(f"{file.path}: its text encoder is not T5 alone, which is all that the original has")
    return {"ctvit": _ctvit, "transformer": _transformer, "superres": _superres}[stage](file, tokenizer, vgg)


def _ctvit(file: StageFile, _tokenizer: StageFile | None, vgg: dict[str, Tensor] | None) -> dict[str, Any]:
    discriminator, kept = file.state_of("discriminator"), file.state_of("vgg") or vgg
    if not discriminator:
        raise InputError(f"{file.path}: holds no discriminator, but the original's file does; give the run's last.ckpt")
    if not kept:
        raise InputError(f"{file.path}: holds no VGG16, but the original's file does; add vgg=FILE")
    return {
        **ctvit_to_original(file.state_of("ctvit")),
        **prefixed("discr", discriminator_to_original(discriminator)),
        **prefixed("vgg", kept),
        **file.state_of("unused"),
    }


def _transformer(file: StageFile, tokenizer: StageFile | None, _vgg: dict[str, Tensor] | None) -> dict[str, Any]:
    ctvit = file.state_of("tokenizer") or (tokenizer.state_of("ctvit") if tokenizer else {})
    if not ctvit:
        raise InputError(
            f"{file.path}: holds no tokenizer, but the original's file does; add tokenizer=FILE of stage 'ctvit'"
        )
    if file.description.get("codebook_sha256") not in (None, hash_codebook(ctvit["quantizer.codebook"])):
        raise InputError(f"{file.path}: trained on the tokens of another tokenizer than the one given")
    return {
        **prefixed("ctvit", ctvit_to_original(ctvit)),
        **prefixed("maskgit", maskgit_to_original(file.state_of("maskgit"))),
        **file.state_of("unused"),
    }


def _superres(file: StageFile, _tokenizer: StageFile | None, _vgg: dict[str, Tensor] | None) -> dict[str, Any]:
    """What its trainer's `load` reads: both copies of the U-Net, the steps of both U-Nets, the seconds of training.

    The copies are equal where ours knows one alone. States of optimizers and loss scales are not kept; it skips them.
    """
    average = unet_to_original(file.state_of("unet"))
    raw = unet_to_original(file.state_of("unaveraged")) or average
    extras: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}}
    for key, value in file.state_of("unused").items():
        part, _, rest = key.partition(".")
        extras[part][rest] = value
    run = file.description.get("original_run", {})
    return {
        "model": {**prefixed("unets.1", raw), **(extras["model"] or {EMPTY_UNET: torch.zeros(1)})},
        "ema": {**prefixed("1.ema_model", average), **(extras["ema"] or _averaging(raw))},
        "steps": torch.tensor(run.get("steps", UNKNOWN_STEPS)),
        "time_elapsed": run.get("time_elapsed", 0.0),
    }


def _averaging(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """The rest of what the original's averaging keeps: of either U-Net the raw weights, a flag and a counter."""
    empty = {f"0.{copy}.dummy_parameter": torch.zeros(1) for copy in ("online_model", "ema_model")}
    state = {f"{unet}.{key}": value for unet in "01" for key, value in AVERAGING_STATE.items()}
    return {**empty, **state, **prefixed("1.online_model", raw)}
