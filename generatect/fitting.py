"""Fits a generation into a memory, and tells what it will take."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from generatect.errors import InputError
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.placement import bytes_of, dtype_of
from generatect.planning.costs import costs_of
from generatect.planning.memory import held_bytes, memory_budget
from generatect.planning.plan import Plan, make_plan


def fit(
    model: TextToCT, tokens: TokenOptions, upscale: UpscaleOptions, memory: str | float, precision: str
) -> tuple[TokenOptions, UpscaleOptions, Plan]:
    """The options that fit into `memory`, and the plan that they follow from.

    Args:
        model: all three stages, not compiled; its U-Net is left in the precision asked for.
        tokens: how tokens are sampled.
        upscale: how slices are refined; `slices_per_batch` is the most at once.
        memory: a size such as 8GB, or auto.
        precision: fp32, bf16 or fp16.

    Raises:
        InputError: nothing fits, no such memory, or no slice at once.
    """
    if upscale.slices_per_batch < 1:
        raise InputError(f"upscale.slices_per_batch={upscale.slices_per_batch}: expected at least 1")
    budget_bytes = memory_budget(str(memory), model.device)
    dtype = dtype_of(precision)
    model.unet.to_precision(dtype)
    costs = costs_of(
        model, token_guidance=tokens.guidance, slice_guidance=upscale.guidance, sampler=upscale.sampler, dtype=dtype
    )
    used = {"tokens": (model.tokens_text, model.maskgit, model.tokenizer), "slices": (model.slices_text, model.unet)}
    plan = make_plan(
        costs,
        budget_bytes=budget_bytes,
        held_bytes=held_bytes(model.device),
        weights_bytes={stage: sum(map(bytes_of, networks)) for stage, networks in used.items()},
        max_slices=upscale.slices_per_batch,
        on_cpu=model.device.type == "cpu",
    )
    tokens = replace(tokens, precision=precision, dense_bias=plan.dense_bias, offload=plan.offload)
    upscale = replace(upscale, precision=precision, slices_per_batch=plan.slices_per_batch, offload=plan.offload)
    return tokens, upscale, plan


def estimate(model: TextToCT, tokens: TokenOptions, upscale: UpscaleOptions) -> float:
    """Seconds of one volume, from timing one evaluation of each network here; of two where the first is quick."""
    num_slices = min(model.preset.upscaled_grid.shape_zyx[0], upscale.slices_per_batch)
    lowres = torch.zeros(1, num_slices, *model.preset.grid.shape_zyx[1:])
    token_seconds = _timed(lambda: model.sample_lowres(["."], 0, replace(tokens, steps=1)))
    slice_seconds = _timed(lambda: model.upscale(lowres, ".", 0, replace(upscale, steps=1))) / num_slices
    return token_seconds * tokens.steps + slice_seconds * upscale.steps * model.preset.upscaled_grid.shape_zyx[0]


def _timed(work: Callable[[], object]) -> float:
    seconds = _once(work)
    return seconds if seconds > 5 else _once(work)  # the first time sets much up


def _once(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
