"""Key names of the released discriminator (`discr.*` in the CT-ViT checkpoint) and ours."""

import re
from collections.abc import Mapping

from torch import Tensor

# Their name → ours, as regular expressions over whole keys.
_RENAMED = [
    (r"blocks\.(\d+)\.conv_res\.(\w+)", r"stages.\1.shortcut.\2"),
    (r"blocks\.(\d+)\.net\.(\d+)\.(\w+)", r"stages.\1.body.\2.\3"),
    (r"blocks\.(\d+)\.downsample\.1\.(\w+)", r"stages.\1.halve.1.\2"),
    (r"attn_blocks\.(\d+)\.norm\.gamma", r"attentions.\1.norm.weight"),
    (r"attn_blocks\.(\d+)\.(to_q|to_kv|to_out)\.weight", r"attentions.\1.\2.weight"),
    (r"attn_blocks\.(\d+)\.(q_scale|k_scale)", r"attentions.\1.\2"),
    (r"to_logits\.(\d+)\.(\w+)", r"to_logit.\1.\2"),
]
# Stored but without effect: zero offsets, the norm of a context that does not exist, empty null keys.
_IDLE = re.compile(r"attn_blocks\.\d+\.(norm\.beta|context_norm\.(gamma|beta)|null_kv)")


def discriminator_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict for `Discriminator` from the released one, `discr.` already removed from its keys.

    Raises:
        KeyError: a key that the released discriminator does not have.
    """
    return {_our_name(key): value for key, value in state.items() if not _IDLE.fullmatch(key)}


def _our_name(key: str) -> str:
    for theirs, ours in _RENAMED:
        if match := re.fullmatch(theirs, key):
            return match.expand(ours)
    raise KeyError(f"{key} is no key of the released discriminator")
