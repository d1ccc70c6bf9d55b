"""Names of the published super-resolution U-Net (spec §3) and ours; shapes and values are the same."""

import re
from collections.abc import Mapping

from torch import Tensor

from generatect.errors import InputError

# (published, ours); # stands for a number. A key is one module and, within it, possibly one part.
_MODULES = (
    ("null_text_embed", "text.null_features"),
    ("null_text_hidden", "text.null_vector"),
    ("text_to_cond", "text.project"),
    ("to_text_non_attn_cond.#", "text.to_vector.#"),
    ("attn_pool.pos_emb", "text.resampler.positions"),
    ("attn_pool.latents", "text.resampler.latents"),
    ("attn_pool.to_latents_from_mean_pooled_seq.#", "text.resampler.pooled_latents.#"),
    ("attn_pool.layers.#.0", "text.resampler.layers.#.attention"),
    ("attn_pool.layers.#.1.#", "text.resampler.layers.#.feed_forward.#"),
    ("to_time_hiddens.0.weights", "noise_level.frequencies"),
    ("to_time_hiddens.1", "noise_level.to_hidden"),
    ("to_time_cond.0", "noise_level.to_vector"),
    ("to_time_tokens.0", "noise_level.to_tokens"),
    ("to_lowres_time_hiddens.0.weights", "lowres_noise_level.frequencies"),
    ("to_lowres_time_hiddens.1", "lowres_noise_level.to_hidden"),
    ("to_lowres_time_cond.0", "lowres_noise_level.to_vector"),
    ("to_lowres_time_tokens.0", "lowres_noise_level.to_tokens"),
    ("norm_cond", "condition_norm"),
    ("init_conv.convs.#", "first_convolution.branches.#"),
    ("init_resnet_block", "first_block"),
    ("downs.#.0.1", "down.#.downsample.1"),
    ("downs.#.1", "down.#.entry"),
    ("downs.#.2.#", "down.#.gated.#"),
    ("mid_block1", "middle.0"),
    ("mid_block2", "middle.1"),
    ("ups.#.0", "up.#.entry"),
    ("ups.#.1.#", "up.#.gated.#"),
    ("ups.#.3.net.0", "up.#.upsample.convolution"),
    ("final_res_block", "last_block"),
    ("final_conv", "last_convolution"),
)
_PARTS = (
    ("time_mlp.1", "to_modulation"),
    ("block1.groupnorm", "first.norm"),
    ("block1.project", "first.convolution"),
    ("block2.groupnorm", "second.norm"),
    ("block2.project", "second.convolution"),
    ("cross_attn.null_kv", "attention.null_key_value"),
    ("cross_attn.norm", "attention.norm"),
    ("cross_attn.to_q", "attention.to_query"),
    ("cross_attn.to_kv", "attention.to_key_value"),
    ("cross_attn.to_out.#", "attention.to_out.#"),
    ("gca.to_k", "gate.to_weights"),
    ("gca.net.#", "gate.to_gate.#"),
    ("res_conv", "shortcut"),
    ("norm", "norm"),
    ("norm_latents", "latent_norm"),
    ("to_q", "to_query"),
    ("to_kv", "to_key_value"),
    ("to_out.#", "to_out.#"),
)
_PARAMETERS = (("g", "gain"), ("weight", "weight"), ("bias", "bias"))


def unet_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of `SuperResUNet` from the published U-Net's.

    Raises:
        InputError: a tensor that the published U-Net does not have.
    """
    return {_translate(key, published=0): value for key, value in state.items()}


def unet_to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published U-Net's state dict from that of `SuperResUNet`.

    Raises:
        InputError: a tensor that `SuperResUNet` does not have.
    """
    return {_translate(key, published=1): value for key, value in state.items()}


def _translate(key: str, published: int) -> str:
    rest, translated = f".{key}", ""
    for table in (_MODULES, _PARTS, _PARAMETERS):
        for pair in table:
            source, target = pair[published], pair[1 - published]
            match = re.match(r"\." + re.escape(source).replace(r"\#", r"(\d+)") + r"(?=\.|$)", rest)
            if match:
                translated += "." + target.replace("#", "{}").format(*match.groups())
                rest = rest[match.end() :]
                break
    if rest:
        raise InputError(f"tensor '{key}': not part of the super-resolution U-Net")
    return translated[1:]
