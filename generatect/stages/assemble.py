"""Builds what a stage trains, and the description that rebuilds it, from plain configuration.

Sizes that follow from something else are never asked for: a later stage takes its grid, codebook and preset from the
tokenizer's file, and the width and length of its text from the text encoder.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from generatect.checkpoints.rebuild import codebook_sha256, load_weights, rebuild_network, rebuild_preset
from generatect.checkpoints.stage_file import StageFile
from generatect.checkpoints.weights import read_stage_of
from generatect.config.build import build
from generatect.ct.preset import Preset
from generatect.errors import InputError
from generatect.text.conditioner import build_conditioner

PARTS = {
    "ctvit": ("ctvit", "discriminator", "perceptual"),
    "transformer": ("maskgit", "token_critic", "label_head"),
    "superres": ("unet", "process"),
    "ctnet": ("ctnet",),
}
"""Stage → what of the group `model` it is built from."""


@dataclass(frozen=True)
class Assembled:
    """Objects of one stage.

    Attributes:
        preset: grid of the volumes.
        module: arguments of the Lightning module.
        data: arguments of the data module, beside pairs and preset.
        description: plain values for the checkpoint.
    """

    preset: Preset
    module: dict[str, Any]
    description: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict)


def assemble(
    stage: str,
    *,
    model: dict[str, Any],
    preset: dict[str, Any],
    text_encoder: dict[str, Any],
    tokenizer: StageFile | None,
    cache_dir: str | None,
    label_names: Sequence[str] = (),
) -> Assembled:
    """Builds the networks of `stage`.

    Args:
        stage: its name.
        model: sizes of volumes and networks.
        preset: how a volume comes onto the model's grid.
        text_encoder: reports → features.
        tokenizer: of stage `ctvit`, for the later stages; see `find_tokenizer`.
        cache_dir: folder of text features of frozen encoders.
        label_names: labels of the data, which stage `ctnet` learns.

    Raises:
        InputError: sizes that do not fit.
    """
    if stage == "ctvit":
        return _assemble_ctvit(model, preset)
    if stage == "ctnet":
        return _assemble_ctnet(model, preset, label_names)
    assert tokenizer is not None, "a later stage has one"
    return {"transformer": _assemble_transformer, "superres": _assemble_superres}[stage](
        model, text_encoder, tokenizer, cache_dir
    )


def find_tokenizer(stage: str, tokenizer: str | None) -> StageFile | None:
    """Reads the checkpoint of stage `ctvit` that a later stage needs; None for a stage that needs none.

    Raises:
        InputError: a later stage without one, no such file, or one of another stage.
    """
    if stage in ("ctvit", "ctnet"):
        return None
    if tokenizer is None:
        raise InputError(f"tokenizer: stage '{stage}' needs the checkpoint of stage 'ctvit'; add tokenizer=FILE")
    return read_stage_of(tokenizer, "ctvit", "tokenizer")


def start_from(built: Assembled, path: str, stage: str) -> StageFile:
    """Gives the networks of a stage the weights of an earlier training, or converted ones, instead of random values.

    What the file holds for training alone (the discriminator) is taken where the stage has it too.

    Returns:
        The file.

    Raises:
        InputError: no such file, one of another stage, or networks of other sizes.
    """
    file = read_stage_of(path, stage, "init")
    for name in (*file.description["networks"], "text", "discriminator"):
        network = built.module.get(name)
        if network is not None and (file.state_of(name) or name in file.description["networks"]):
            load_weights(network, file, name)
    return file


def _assemble_ctvit(model: dict[str, Any], preset: dict[str, Any]) -> Assembled:
    built = build(preset)
    ctvit = build(model["ctvit"])
    ctvit.token_grid(built.grid.shape_zyx[0])  # refuses a number of slices that does not fit
    module = {"ctvit": ctvit}
    if model.get("discriminator"):
        module["discriminator"] = build(model["discriminator"])
    if model.get("perceptual"):
        module["perceptual"] = build(model["perceptual"])
    description = {
        "networks": {"ctvit": _arguments(model["ctvit"])},
        "preset": {"name": built.name, **_arguments(preset)},
    }
    return Assembled(built, module, description)


def _assemble_ctnet(model: dict[str, Any], preset: dict[str, Any], label_names: Sequence[str]) -> Assembled:
    built, node = build(preset), {"labels": list(label_names), **model["ctnet"]}
    if not node["labels"]:
        raise InputError(
            "stage 'ctnet': the data have no labels to learn; name their columns, such as "
            "data.label_columns=[Emphysema,Cardiomegaly]"
        )
    ctnet = build(node)
    description = {
        "networks": {"ctnet": _arguments(node)},
        "preset": {"name": built.name, **_arguments(preset)},
    }
    return Assembled(built, {"ctnet": ctnet}, description, {"label_names": ctnet.labels})


def _assemble_transformer(
    model: dict[str, Any], text_encoder: dict[str, Any], file: StageFile, cache_dir: str | None
) -> Assembled:
    tokenizer, preset = rebuild_network(file, "ctvit"), rebuild_preset(file)
    text = build_conditioner(text_encoder, cache_dir=cache_dir)
    sizes = {
        "num_tokens": tokenizer.quantizer.num_codes,
        "max_tokens": math.prod(tokenizer.token_grid(preset.grid.shape_zyx[0])),
        "text_width": text.width,
    }
    module, networks = {"text": text, "tokenizer": tokenizer}, {}
    for name in ("maskgit", "token_critic"):
        if model.get(name):
            node = {**sizes, **model[name]}  # a published network has room for more tokens than its grid needs
            module[name], networks[name] = build(node), _arguments(node)
    if model.get("label_head"):
        module["label_head"] = build(model["label_head"], text_width=text.width)
    description = _later_description(networks, text.describe(), file)
    return Assembled(preset, module, description, _tokenizer_data(tokenizer, file))


def _assemble_superres(
    model: dict[str, Any], text_encoder: dict[str, Any], file: StageFile, cache_dir: str | None
) -> Assembled:
    tokenizer, preset = rebuild_network(file, "ctvit"), rebuild_preset(file)
    text = build_conditioner(text_encoder, cache_dir=cache_dir)
    node = {"text_width": text.width, "max_text_tokens": text.max_tokens, **model["unet"]}
    if node["max_text_tokens"] < text.max_tokens:
        raise InputError(
            f"text_encoder.encoder.max_tokens={text.max_tokens}, but the upscaler stops at model.unet.max_text_tokens="
            f"{node['max_text_tokens']}; make them equal (text_encoder=t5_released for the released networks)"
        )
    module = {"text": text, "unet": build(node), "process": build(model["process"])}
    description = _later_description({"unet": _arguments(node)}, text.describe(), file)
    description["process"] = _arguments(model["process"])
    return Assembled(preset, module, description, _tokenizer_data(tokenizer, file))


def _tokenizer_data(tokenizer: Any, file: StageFile) -> dict[str, Any]:
    return {"tokenizer": tokenizer, "tokenizer_sha256": file.sha256}


def _later_description(networks: dict[str, Any], text: dict[str, Any], file: StageFile) -> dict[str, Any]:
    return {
        "networks": networks,
        "text": text,
        "preset": file.description["preset"],
        "tokenizer_sha256": file.sha256,
        "codebook_sha256": codebook_sha256(file),
    }


def _arguments(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if not key.startswith("_")}
