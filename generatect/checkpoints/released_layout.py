"""What the three published files must hold, key by key: what networks of the published sizes write."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from generatect.checkpoints.released_discriminator import discriminator_to_original
from generatect.checkpoints.released_superres import unet_to_original
from generatect.checkpoints.released_tokens import ctvit_to_original, maskgit_to_original
from generatect.networks.ctvit import CTViT
from generatect.networks.discriminator import Discriminator
from generatect.networks.maskgit import MaskGIT
from generatect.networks.unet import SuperResUNet
from generatect.networks.vgg import VGG16Features

Layout = dict[str, tuple[int, ...]]
Sizes = Mapping[str, Mapping[str, Any]]

PUBLISHED: Sizes = {
    "ctvit": {
        "dim": 512,
        "codebook_size": 8192,
        "image_size": 128,
        "patch_size": 16,
        "slice_patch_size": 2,
        "spatial_depth": 4,
        "temporal_depth": 4,
        "dim_head": 32,
        "heads": 8,
        "compat": "released",
    },
    "discriminator": {"image_size": 128, "dim": 16, "compat": "released"},
    "maskgit": {
        "num_tokens": 8192,
        "max_tokens": 10000,
        "dim": 512,
        "depth": 6,
        "heads": 8,
        "dim_head": 64,
        "text_width": 768,
        "compat": "released",
    },
    "unet": {
        "dim": 64,
        "dim_mults": [1, 2, 4],
        "num_blocks": 2,
        "text_width": 768,
        "max_text_tokens": 256,
        "num_text_latents": 32,
        "heads": 8,
        "dim_head": 64,
        "cross_attention": [True, True, True],
    },
}
"""Constructor arguments of the published networks."""

LISTED = 5


def layout_of(stage: str, sizes: Sizes = PUBLISHED) -> Layout:
    """Key → shape of a published file; of the upscaler's, of its part `model`.

    Args:
        stage: "ctvit", "transformer" or "superres".
        sizes: constructor arguments by network.
    """
    with torch.device("meta"):
        if stage == "superres":
            unet = unet_to_original(SuperResUNet(**sizes["unet"]).state_dict())
            state = {"unets.0.dummy_parameter": torch.empty(1), **prefixed("unets.1", unet)}
        else:
            ctvit = ctvit_to_original(CTViT(**sizes["ctvit"]).state_dict())
            if stage == "ctvit":
                discriminator = discriminator_to_original(Discriminator(**sizes["discriminator"]).state_dict())
                vgg = VGG16Features().state_dict()
                state = {**ctvit, **prefixed("discr", discriminator), **prefixed("vgg", vgg)}
            else:
                maskgit = maskgit_to_original(MaskGIT(**sizes["maskgit"]).state_dict())
                state = {**prefixed("ctvit", ctvit), **prefixed("maskgit", maskgit)}
    return {key: tuple(value.shape) for key, value in state.items()}


def check_layout(state: Mapping[str, Any], layout: Layout, what: str) -> None:
    """Refuses a state dict that is not exactly of the layout; tensors may be of any floating type.

    Args:
        state: what a file holds.
        layout: what it must hold.
        what: how the message calls it.

    Raises:
        ValueError: with a list of what is missing, left over, or of another shape or kind.
    """
    wrong = {
        "missing": [key for key in layout if key not in state],
        "left over": [key for key in state if key not in layout],
        "of another shape": [
            f"{key} is {list(state[key].shape)}, expected {list(shape)}"
            for key, shape in layout.items()
            if isinstance(state.get(key), Tensor) and tuple(state[key].shape) != shape
        ],
        "no floating-point tensor": [
            key
            for key in layout
            if key in state and not (isinstance(state[key], Tensor) and state[key].is_floating_point())
        ],
    }
    parts = [f"{len(keys)} {kind}: {_listed(keys)}" for kind, keys in wrong.items() if keys]
    if parts:
        raise ValueError(f"{what} differs from the published one of {len(layout)} tensors; {'; '.join(parts)}")


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as part `prefix` of something larger."""
    return {f"{prefix}.{key}": value for key, value in state.items()}


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:LISTED]) + (f", and {len(keys) - LISTED} more" if len(keys) > LISTED else "")
