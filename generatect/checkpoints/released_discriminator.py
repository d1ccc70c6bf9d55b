"""Key names of the released discriminator (`discr.*` in the CT-ViT checkpoint) and ours."""

from collections.abc import Mapping

from torch import Tensor

from generatect.checkpoints.renaming import Table, renamed, restored

_DISCRIMINATOR: Table = [
    ("blocks.#.conv_res.", "stages.#.shortcut."),
    ("blocks.#.net.", "stages.#.body."),
    ("blocks.#.downsample.", "stages.#.halve."),
    ("attn_blocks.#.norm.gamma", "attentions.#.norm.weight"),
    ("attn_blocks.#.", "attentions.#."),
    ("to_logits.", "to_logit."),
]


def discriminator_from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict for `Discriminator(compat="released")` from the original's, `discr.` removed from its keys.

    Raises:
        KeyError: a key that the released discriminator does not have.
    """
    return renamed(state, _DISCRIMINATOR)


def discriminator_to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `discriminator_from_original`."""
    return restored(state, _DISCRIMINATOR)
