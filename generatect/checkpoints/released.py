"""The three files of the GenerateCT authors, as stages: recognised by their keys, sizes read from their tensors.

`ctvit_pretrained.pt` holds the tokenizer's bare keys beside `vgg.*` and `discr.*`; `transformer_pretrained.pt` holds
`ctvit.*` and `maskgit.*`; `superres_pretrained.pt` holds `model` and `ema`, each with a U-Net.

No tensor of a network is thrown away; states of optimizers and loss scales are. Beside the networks that the
description names, the state has what only training on or the way back needs: `discriminator.*` and `vgg.*` of the
tokenizer, the transformer's copy of the `tokenizer.*`, the U-Net before averaging (`unaveraged.*`), and under
`unused.*`, by its original key, what no network reads.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from math import isqrt
from typing import Any

from torch import Tensor

from generatect.checkpoints.codebook import hash_codebook
from generatect.checkpoints.released_discriminator import discriminator_from_original
from generatect.checkpoints.released_superres import unet_from_original
from generatect.checkpoints.released_tokens import ctvit_from_original, maskgit_from_original
from generatect.checkpoints.renaming import is_idle
from generatect.diffusion.process import SuperResProcess

State = Mapping[str, Tensor]
EMA_EXTRAS = ("0.ema_model.", "0.online_model.", "1.online_model.", "0.initted", "0.step", "1.initted", "1.step")

NOTICE = "Weights of the GenerateCT authors; their licence applies"
# What no tensor tells (spec §0, §4).
PRESET = {"name": "released", "num_slices": 201, "size": 128, "upscaled_size": 512}
T5 = {"kind": "t5", "name_or_path": "google/t5-v1_1-base", "max_tokens": 256}
TEXT = {"encoder": T5, "adapter": None, "clean_prompt": True}
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_forward_module)\.")  # of DDP, torch.compile, Fabric


def released_stage(content: Mapping[str, Any], stage: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and tensors, under our names, of what one of the published files holds.

    Beginnings of keys that wrappers leave (`module.`, `_orig_mod.`, `_forward_module.`) are understood.

    Args:
        content: the file as `torch.load` gives it.
        stage: the one that is wanted: "ctvit" takes the tokenizer that the transformer's file holds as well.

    Raises:
        ValueError: it is none of the three, or has a tensor too many or lacks one.
    """
    held, content = recognised(content)
    wanted = "tokenizer" if (held, stage) == ("transformer", "ctvit") else held
    read = {"ctvit": _ctvit, "transformer": _transformer, "superres": _superres, "tokenizer": _inner_ctvit}[wanted]
    try:
        description, state = read(content)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"resembles the released {held}_pretrained.pt, but differs in {error}") from error
    return {"preset": PRESET, "notice": NOTICE, **description}, state


def recognised(content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The stage that one of the published files holds, by its keys, and the content without prefixes of wrappers.

    Raises:
        ValueError: it is none of the three.
    """
    content = _unwrapped(content)
    model = _mapping(content.get("model"))
    if any(key.startswith("unets.1.") for key in model):
        return "superres", content
    state = model or content  # trainers of the other two save the network's state alone, or beside their optimizers'
    if any(key.startswith("maskgit.") for key in state):
        return "transformer", dict(state)
    if "vq._codebook.embed" in state:
        return "ctvit", dict(state)
    raise ValueError("no description of a stage in it, nor the keys of a released file")


def _ctvit(content: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
    parts = _split(content, ("vgg.", "discr.", ""))
    state = ctvit_from_original(parts[""])
    codebook_size, dim = state["quantizer.codebook"].shape
    # a patch is patch_size² voxels of the first slice, and slice_patch_size times as many of the others
    first, rest = (state[f"patches.{part}.1.weight"].shape[1] for part in ("first", "rest"))
    arguments = {
        "dim": dim,
        "codebook_size": codebook_size,
        "image_size": PRESET["size"],
        "patch_size": isqrt(first),
        "slice_patch_size": rest // first,
        "spatial_depth": _count(state, "spatial_encoder.layers."),
        "temporal_depth": _count(state, "temporal_encoder.layers."),
        "dim_head": len(state["spatial_encoder.layers.0.attention.q_scale"]),
        "heads": len(state["spatial_bias.net.4.weight"]),
        "compat": "released",
    }
    kept = {
        **_prefixed("discriminator", discriminator_from_original(parts["discr."])),
        **_prefixed("vgg", parts["vgg."]),
        **_idle(content),
    }
    return {"stage": "ctvit", "networks": {"ctvit": arguments}}, {**_prefixed("ctvit", state), **kept}


def _inner_ctvit(content: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return _ctvit(_split(content, ("ctvit.", "maskgit."))["ctvit."])


def _transformer(content: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """MaskGIT. The file's copy of the tokenizer says which one its tokens belong to."""
    parts = _split(content, ("ctvit.", "maskgit."))
    state, tokenizer = maskgit_from_original(parts["maskgit."]), ctvit_from_original(parts["ctvit."])
    num_ids, dim = state["embedding.tokens.weight"].shape
    arguments = {
        "num_tokens": num_ids - 1,  # the last id is the mask
        "max_tokens": len(state["embedding.positions.weight"]),
        "dim": dim,
        "depth": _count(state, "transformer.layers."),
        "heads": len(state["position_bias.net.4.weight"]),
        "dim_head": len(state["transformer.layers.0.attention.q_scale"]),
        "text_width": len(state["transformer.layers.0.cross_attention.context_norm.weight"]),
        "compat": "released",
    }
    description = {
        "stage": "transformer",
        "networks": {"maskgit": arguments},
        "text": TEXT,
        "codebook_sha256": hash_codebook(tokenizer["quantizer.codebook"]),
    }
    return description, {**_prefixed("maskgit", state), **_prefixed("tokenizer", tokenizer), **_idle(content)}


def _superres(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The U-Net, averaged where the file has an average."""
    model = _split(content["model"], ("unets.1.", "unets.0.dummy_parameter"))
    average = _split(_mapping(content.get("ema")), ("1.ema_model.", *EMA_EXTRAS))
    raw = unet_from_original(model["unets.1."])
    state = unet_from_original(average["1.ema_model."]) or raw
    extras = {f"model.{key}": value for key, value in content["model"].items() if not key.startswith("unets.1.")}
    extras |= {f"ema.{key}": v for key, v in _mapping(content.get("ema")).items() if not key.startswith("1.ema_model.")}
    kept = {**(_prefixed("unaveraged", raw) if state is not raw else {}), **_prefixed("unused", extras)}
    levels = range(_count(state, "down."))
    dim = len(state["first_block.first.norm.weight"])
    dim_head = state[f"down.{levels[-1]}.entry.attention.null_key_value"].shape[1]
    middle_dim_head = state["middle.0.attention.null_key_value"].shape[1]
    arguments = {
        "dim": dim,
        "dim_mults": [len(state[f"down.{level}.entry.first.norm.weight"]) // dim for level in levels],
        "num_blocks": _count(state, "down.0.gated."),
        "text_width": state["text.project.weight"].shape[1],
        "max_text_tokens": state["text.null_features"].shape[1],
        "num_text_latents": len(state["text.resampler.latents"]),
        "heads": len(state["text.resampler.layers.0.attention.to_query.weight"]) // dim_head,
        "dim_head": dim_head,
        "cross_attention": [f"down.{level}.entry.attention.null_key_value" in state for level in levels],
        "middle_heads": len(state["middle.0.attention.to_query.weight"]) // middle_dim_head,
        "middle_dim_head": middle_dim_head,
    }
    process = asdict(SuperResProcess.released())
    description = {
        "stage": "superres",
        "networks": {"unet": arguments},
        "text": TEXT,
        "process": process,
        "original_run": _run_of(content),
    }
    return description, {**_prefixed("unet", state), **kept}


def _run_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """How long the upscaler was trained, as its trainer wants to know again: steps of either U-Net, and seconds."""
    run: dict[str, Any] = {}
    if isinstance(content.get("steps"), Tensor) and content["steps"].shape == (2,):
        run["steps"] = content["steps"].tolist()
    if "time_elapsed" in content:
        run["time_elapsed"] = float(content["time_elapsed"])
    return run


def _split(state: State, prefixes: tuple[str, ...]) -> dict[str, dict[str, Tensor]]:
    """The tensors below each prefix, without it; a KeyError names one that is below none."""
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    for key, value in state.items():
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is None:
            raise KeyError(key)
        parts[prefix][key.removeprefix(prefix)] = value
    return parts


def _unwrapped(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same tensors, the prefixes of wrappers removed from their keys, also those of dictionaries within."""
    result: dict[str, Any] = {}
    for key, value in content.items():
        bare = _WRAPPERS.sub("", str(key))
        if bare in result:
            raise ValueError(f"'{bare}' twice, once behind the prefix of a wrapper")
        result[bare] = _unwrapped(value) if key in ("model", "ema") and isinstance(value, Mapping) else value
    return result


def _idle(content: State) -> dict[str, Tensor]:
    return _prefixed("unused", {key: value for key, value in content.items() if is_idle(key)})


def _count(state: State, prefix: str) -> int:
    """How many numbered modules there are behind `prefix`."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _prefixed(network: str, state: State) -> dict[str, Tensor]:
    return {f"{network}.{key}": value for key, value in state.items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
