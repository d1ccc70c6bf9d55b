"""What each part of a generation costs, from dry runs of the code that will do it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from generatect.planning.dry_run import Cost, dry_run
from generatect.sampling.maskgit import decode_tokens
from generatect.sampling.superres import upscale_slices


@dataclass(frozen=True)
class Costs:
    """Parts of a generation; a part that is not done costs nothing.

    Attributes:
        token_step: one step over all tokens, logits and samples included; None: no tokens are sampled.
        dense_bias_bytes: of the position bias of every pair of tokens, part of the peak of `token_step`.
        decoder: tokens to the low-resolution volume.
        slice_step: one step of one slice; None: no slices are refined.
        num_slices: of the result.
        volume_bytes: of the result in fp32.
    """

    token_step: Cost | None
    dense_bias_bytes: int
    decoder: Cost
    slice_step: Cost | None
    num_slices: int
    volume_bytes: int

    def flops(self, token_steps: int, slice_steps: int) -> int:
        """Of one volume."""
        tokens = token_steps * self.token_step.flops if self.token_step else 0
        slices = slice_steps * self.num_slices * self.slice_step.flops if self.slice_step else 0
        return tokens + self.decoder.flops + slices


def costs_of(
    model: Any,
    *,
    token_guidance: float | None,
    slice_guidance: float | None,
    sampler: str,
    dtype: torch.dtype,
    text_length: int = 64,
    decodes: bool = True,
) -> Costs:
    """Dry runs of a `generatect.pipeline.TextToCT`, or of the half of it that will work.

    Args:
        model: the networks and their grids.
        token_guidance: guidance scale of the tokens; None: none are sampled.
        slice_guidance: guidance scale of the slices; None: none are refined.
        sampler: of the slices.
        dtype: the tokens' networks compute in it by autocast; the U-Net is in it already.
        text_length: tokens of the report; a few more or fewer matter little.
        decodes: tokens become a volume, whether they are sampled here or not.
    """
    token_step, dense_bias_bytes, slice_step = None, 0, None
    decoder = _decoder_cost(model, dtype) if decodes else Cost(0, 0)
    if token_guidance is not None:
        token_step, dense_bias_bytes = _token_costs(model, token_guidance, dtype, text_length)
    if slice_guidance is not None:
        slice_step = _slice_cost(model, slice_guidance, sampler, text_length)
    grid = model.preset.grid if slice_step is None else model.preset.upscaled_grid
    return Costs(token_step, dense_bias_bytes, decoder, slice_step, grid.shape_zyx[0], 4 * grid.num_voxels)


def _token_costs(model: Any, guidance: float, dtype: torch.dtype, text_length: int) -> tuple[Cost, int]:
    """Of a step over all tokens, and of its dense position bias in bytes."""
    grid = model.token_grid

    def token_step(features: Tensor) -> Tensor:
        with _autocast(model, dtype):
            return decode_tokens(
                model.maskgit,
                token_grid=grid,
                mask_id=model.maskgit.mask_id,
                text_features=features,
                text_mask=features.new_ones(features.shape[:2], dtype=torch.bool),
                generator=torch.Generator(),
                num_steps=1,
                guidance=guidance,
                critic=model.token_critic,
            )

    heads = model.maskgit.position_bias.net[-1].out_features
    dense = heads * (grid[0] * grid[1] * grid[2]) ** 2 * dtype.itemsize
    return (
        dry_run(token_step, (1, text_length, model.maskgit.text_width), device=model.device),
        dense if dense <= model.maskgit.max_dense_bytes else 0,
    )


def _decoder_cost(model: Any, dtype: torch.dtype) -> Cost:
    """Of the way from tokens to the low-resolution volume."""

    def decoder(ids: Tensor) -> Tensor:
        with _autocast(model, dtype):
            return model.tokenizer.decode_ids(ids.long())

    return dry_run(decoder, (1, *model.tokenizer.token_grid(model.preset.grid.shape_zyx[0])), device=model.device)


def _slice_cost(model: Any, guidance: float, sampler: str, text_length: int) -> Cost:
    """Of one step of one slice."""
    _, height, width = model.preset.upscaled_grid.shape_zyx

    def slice_step(slices: Tensor, features: Tensor, noise: Tensor) -> Tensor:
        return upscale_slices(
            model.unet,
            model.process,
            slices,
            features,
            noise=lambda: noise,
            upscaled_size=height,
            num_steps=1,
            guidance=guidance,
            sampler=sampler,
        )

    return dry_run(
        slice_step,
        (1, 1, *model.preset.grid.shape_zyx[1:]),
        (1, text_length, model.slices_text.width),
        (1, 1, height, width),
        device=model.device,
    )


def _autocast(model: Any, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32)
