"""State dicts of CT-ViT, MaskGIT and token critic: the original's key names ↔ ours.

Every tensor keeps its values, so the mapping is a table of renamings. What the original stores without use is dropped,
and made anew on the way back. The functions take the keys of one network, without a prefix such as `ctvit.`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from generatect.checkpoints.renaming import Table, renamed, restored, within

_LAYERS: Table = [
    ("layers.#.0.dsconv.", "layers.#.position.conv."),
    ("layers.#.1.norm.gamma", "layers.#.attention.norm.weight"),
    ("layers.#.1.", "layers.#.attention."),
    ("layers.#.2.norm.gamma", "layers.#.cross_attention.norm.weight"),
    ("layers.#.2.context_norm.gamma", "layers.#.cross_attention.context_norm.weight"),
    ("layers.#.2.", "layers.#.cross_attention."),
    ("layers.#.3.0.", "layers.#.feedforward.norm."),
    ("layers.#.3.1.", "layers.#.feedforward.to_hidden."),
    ("layers.#.3.4.", "layers.#.feedforward.to_out."),
    ("norm_out.gamma", "norm.weight"),
]
_BIAS: Table = [("net.0.0.", "net.0."), ("net.1.0.", "net.2."), ("net.2.", "net.4.")]

_CTVIT: Table = [
    ("to_patch_emb_first_frame.1.", "patches.first.0."),
    ("to_patch_emb_first_frame.2.", "patches.first.1."),
    ("to_patch_emb_first_frame.3.", "patches.first.2."),
    ("to_patch_emb.1.", "patches.rest.0."),
    ("to_patch_emb.2.", "patches.rest.1."),
    ("to_patch_emb.3.", "patches.rest.2."),
    *within("spatial_rel_pos_bias", "spatial_bias", _BIAS),
    *within("enc_spatial_transformer", "spatial_encoder", _LAYERS),
    *within("enc_temporal_transformer", "temporal_encoder", _LAYERS),
    ("vq._codebook.embed", "quantizer.codebook"),
    ("vq._codebook.cluster_size", "quantizer.cluster_size"),
    *within("dec_temporal_transformer", "temporal_decoder", _LAYERS),
    *within("dec_spatial_transformer", "spatial_decoder", _LAYERS),
    ("to_pixels_first_frame.0.", "voxels.first."),
    ("to_pixels.0.", "voxels.rest."),
]
_CRITIC: Table = [
    ("token_emb.", "embedding.tokens."),
    ("pos_emb.", "embedding.positions."),
    *within("transformer", "transformer", _LAYERS),
    ("to_logits.0.", "to_logits."),
]
_MASKGIT: Table = [
    *within("continuous_pos_bias", "position_bias", _BIAS),
    *_CRITIC[:-1],
    ("to_logits.", "to_logits."),
]


def ctvit_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of a `CTViT(compat="released")` from the original's. An unknown key is a KeyError, as in all of these."""
    ours = renamed(state, _CTVIT)
    for name in ("quantizer.codebook", "quantizer.cluster_size"):
        ours[name] = ours[name][0]  # the original's codebook has a leading axis of 1
    return {**ours, "quantizer.idle_steps": torch.zeros(len(ours["quantizer.codebook"]), dtype=torch.int64)}


def maskgit_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of a `MaskGIT(compat="released")` from the original's."""
    return renamed(state, _MASKGIT)


def token_critic_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of a `TokenCritic(compat="released")` from the original's."""
    return renamed(state, _CRITIC)


def ctvit_to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `ctvit_from_original`, for a model whose codes are as wide as its tokens."""
    original = restored({k: v for k, v in state.items() if k != "quantizer.idle_steps"}, _CTVIT)
    for name in ("vq._codebook.embed", "vq._codebook.cluster_size"):
        original[name] = original[name][None]
    return {**original, "vq._codebook.initted": torch.ones(1)}


def maskgit_to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `maskgit_from_original`."""
    return restored(state, _MASKGIT)


def token_critic_to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `token_critic_from_original`."""
    return restored(state, _CRITIC)
