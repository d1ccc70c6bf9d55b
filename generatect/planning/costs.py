"""What each part of a generation costs, from dry runs of the code that will do it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from generatect.planning.dry_run import Cost, dry_run
from generatect.sampling.maskgit import decode_tokens
from generatect.sampling.superres import upscale_slices


@dataclass(frozen=True)
class Costs:
    """Parts of a generation.

    Attributes:
        token_step: one step over all tokens, logits and samples included.
        dense_bias_bytes: of the position bias of every pair of tokens, part of the peak of `token_step`.
        decoder: tokens to the low-resolution volume.
        slice_step: one step of one slice.
        num_slices: of the result.
        volume_bytes: of the result in fp32.
    """

    token_step: Cost
    dense_bias_bytes: int
    decoder: Cost
    slice_step: Cost
    num_slices: int
    volume_bytes: int

    def flops(self, token_steps: int, slice_steps: int) -> int:
        """Of one volume."""
        slices = slice_steps * self.num_slices * self.slice_step.flops
        return token_steps * self.token_step.flops + self.decoder.flops + slices


def costs_of(
    model: Any, *, token_guidance: float, slice_guidance: float, sampler: str, dtype: torch.dtype, text_length: int = 64
) -> Costs:
    """Dry runs of a `generatect.pipeline.TextToCT`.

    Args:
        model: the networks and their grids.
        token_guidance: guidance scale of the tokens.
        slice_guidance: guidance scale of the slices.
        sampler: of the slices.
        dtype: the tokens' networks compute in it by autocast; the U-Net is in it already.
        text_length: tokens of the report; a few more or fewer matter little.
    """
    half = partial(torch.autocast, model.device.type, dtype, enabled=dtype != torch.float32)
    device, grid = model.device, model.token_grid
    num_slices, height, width = model.preset.upscaled_grid.shape_zyx
    lowres = model.preset.grid.shape_zyx[1:]

    def token_step(features: Tensor) -> Tensor:
        with half():
            return decode_tokens(
                model.maskgit,
                token_grid=grid,
                mask_id=model.maskgit.mask_id,
                text_features=features,
                text_mask=features.new_ones(features.shape[:2], dtype=torch.bool),
                generator=torch.Generator(),
                num_steps=1,
                guidance=token_guidance,
                critic=model.token_critic,
            )

    def decoder(ids: Tensor) -> Tensor:
        with half():
            return model.tokenizer.decode_ids(ids.long())

    def slice_step(slices: Tensor, features: Tensor, noise: Tensor) -> Tensor:
        return upscale_slices(
            model.unet,
            model.process,
            slices,
            features,
            noise=lambda: noise,
            upscaled_size=height,
            num_steps=1,
            guidance=slice_guidance,
            sampler=sampler,
        )

    heads = model.maskgit.position_bias.net[-1].out_features
    dense = heads * (grid[0] * grid[1] * grid[2]) ** 2 * dtype.itemsize
    return Costs(
        token_step=dry_run(token_step, (1, text_length, model.maskgit.text_width), device=device),
        dense_bias_bytes=dense if dense <= model.maskgit.max_dense_bytes else 0,
        decoder=dry_run(decoder, (1, *grid), device=device),
        slice_step=dry_run(
            slice_step,
            (1, 1, *lowres),
            (1, text_length, model.slices_text.width),
            (1, 1, height, width),
            device=device,
        ),
        num_slices=num_slices,
        volume_bytes=4 * num_slices * height * width,
    )
