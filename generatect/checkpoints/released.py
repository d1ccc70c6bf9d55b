"""The three files of the GenerateCT authors, as stages: recognised by their keys, sizes read from their tensors.

`ctvit_pretrained.pt` holds the tokenizer's bare keys beside `vgg.*` and `discr.*`; `transformer_pretrained.pt` holds
`ctvit.*` and `maskgit.*`; `superres_pretrained.pt` holds `model` and `ema`, each with a U-Net.
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import isqrt
from typing import Any

from torch import Tensor

from generatect.checkpoints.codebook import hash_codebook
from generatect.checkpoints.released_superres import unet_from_original, unet_state_of_release
from generatect.checkpoints.released_tokens import ctvit_from_original, maskgit_from_original
from generatect.diffusion.process import SuperResProcess

State = Mapping[str, Tensor]

NOTICE = "Weights of the GenerateCT authors; their licence applies"
# What no tensor tells (spec §0, §4).
PRESET = {"name": "released", "num_slices": 201, "size": 128, "upscaled_size": 512}
T5 = {"kind": "t5", "name_or_path": "google/t5-v1_1-base", "max_tokens": 256}
TEXT = {"encoder": T5, "adapter": None, "clean_prompt": True}


def released_stage(content: Mapping[str, Any], stage: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and tensors, under our names, of what one of the published files holds.

    Args:
        content: the file as `torch.load` gives it.
        stage: the one that is wanted: "ctvit" takes the tokenizer that the transformer's file holds as well.

    Raises:
        ValueError: it is none of the three, or has a tensor too many or lacks one.
    """
    if "vq._codebook.embed" in content:
        file, read = "ctvit_pretrained.pt", _ctvit
    elif any(str(key).startswith("maskgit.") for key in content):
        file, read = "transformer_pretrained.pt", _inner_ctvit if stage == "ctvit" else _transformer
    elif any(str(key).startswith("unets.1.") for key in _mapping(content.get("model"))):
        file, read = "superres_pretrained.pt", _superres
    else:
        raise ValueError("no description of a stage in it, nor the keys of a released file")
    try:
        description, state = read(content)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"resembles the released {file}, but differs in {error}") from error
    return {"preset": PRESET, "notice": NOTICE, **description}, state


def _ctvit(content: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
    state = ctvit_from_original(content)
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
    return {"stage": "ctvit", "networks": {"ctvit": arguments}}, _prefixed("ctvit", state)


def _inner_ctvit(content: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return _ctvit(_split(content, ("ctvit.", "maskgit."))["ctvit."])


def _transformer(content: State) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """MaskGIT alone. The file's copy of the tokenizer only says which one its tokens belong to."""
    parts = _split(content, ("ctvit.", "maskgit."))
    state = maskgit_from_original(parts["maskgit."])
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
        "codebook_sha256": hash_codebook(ctvit_from_original(parts["ctvit."])["quantizer.codebook"]),
    }
    return description, _prefixed("maskgit", state)


def _superres(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The averaged U-Net."""
    _split({key: value for key, value in content["model"].items() if key != "unets.0.dummy_parameter"}, ("unets.1.",))
    state = unet_from_original(unet_state_of_release(content))
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
    description = {"stage": "superres", "networks": {"unet": arguments}, "text": TEXT, "process": process}
    return description, _prefixed("unet", state)


def _split(state: State, prefixes: tuple[str, ...]) -> dict[str, dict[str, Tensor]]:
    """The tensors below each prefix, without it; a KeyError names one that is below none."""
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    for key, value in state.items():
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is None:
            raise KeyError(key)
        parts[prefix][key.removeprefix(prefix)] = value
    return parts


def _count(state: State, prefix: str) -> int:
    """How many numbered modules there are behind `prefix`."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _prefixed(network: str, state: State) -> dict[str, Tensor]:
    return {f"{network}.{key}": value for key, value in state.items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
