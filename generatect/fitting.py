"""Fits a generation into a memory, and tells what it will take."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from generatect.errors import InputError
from generatect.options import TokenOptions, UpscaleOptions
from generatect.placement import bytes_of, dtype_of
from generatect.planning.costs import costs_of
from generatect.planning.memory import held_bytes, memory_budget
from generatect.planning.plan import Plan, make_plan
from generatect.stage_models import DecoderModel, LowresModel, StageModel, UpscaleModel


def fit(
    model: StageModel,
    tokens: TokenOptions | None,
    upscale: UpscaleOptions | None,
    memory: str | float,
    precision: str,
) -> tuple[TokenOptions | None, UpscaleOptions | None, Plan]:
    """The options that fit into `memory`, and the plan that they follow from.

    Args:
        model: the stages that will work, not compiled; its U-Net is left in the precision asked for.
        tokens: how tokens are sampled; None: none are.
        upscale: how slices are refined; `slices_per_batch` is the most at once. None: none are.
        memory: a size such as 8GB, or auto.
        precision: fp32, bf16 or fp16.

    Raises:
        InputError: nothing fits, no such memory, or no slice at once.
    """
    if upscale and upscale.slices_per_batch < 1:
        raise InputError(f"upscale.slices_per_batch={upscale.slices_per_batch}: expected at least 1")
    budget_bytes = memory_budget(str(memory), model.device)
    dtype = dtype_of(precision)
    used: dict[str, tuple[nn.Module, ...]] = {"tokens": (), "slices": ()}
    if isinstance(model, DecoderModel):
        used["tokens"] = (model.tokenizer,)
    if tokens and isinstance(model, LowresModel):
        used["tokens"] = (model.tokens_text, model.maskgit, model.tokenizer)
    if upscale and isinstance(model, UpscaleModel):
        model.unet.to_precision(dtype)
        used["slices"] = (model.slices_text, model.unet)
    costs = costs_of(
        model,
        token_guidance=tokens and tokens.guidance,
        slice_guidance=upscale and upscale.guidance,
        sampler=upscale.sampler if upscale else "",
        dtype=dtype,
        decodes=isinstance(model, DecoderModel),
    )
    plan = make_plan(
        costs,
        budget_bytes=budget_bytes,
        held_bytes=held_bytes(model.device),
        weights_bytes={stage: sum(map(bytes_of, networks)) for stage, networks in used.items()},
        max_slices=upscale.slices_per_batch if upscale else 0,
        on_cpu=model.device.type == "cpu",
    )
    if tokens:
        tokens = replace(tokens, precision=precision, dense_bias=bool(plan.dense_bias), offload=plan.offload)
    if upscale:
        upscale = replace(upscale, precision=precision, slices_per_batch=plan.slices_per_batch, offload=plan.offload)
    return tokens, upscale, plan


def estimate(model: StageModel, tokens: TokenOptions | None, upscale: UpscaleOptions | None) -> float:
    """Seconds of one volume, from timing one evaluation of each network here; of two where the first is quick."""
    seconds = 0.0
    if tokens and isinstance(model, LowresModel):
        seconds += tokens.steps * _timed(lambda: model.sample_lowres(["."], 0, replace(tokens, steps=1)))
    if upscale and isinstance(model, UpscaleModel):
        all_slices = model.preset.upscaled_grid.shape_zyx[0]
        num_slices = min(all_slices, upscale.slices_per_batch)
        lowres = torch.zeros(1, num_slices, *model.preset.grid.shape_zyx[1:])
        each = _timed(lambda: model.upscale(lowres, ".", 0, replace(upscale, steps=1))) / num_slices
        seconds += each * upscale.steps * all_slices
    return seconds


def _timed(work: Callable[[], object]) -> float:
    seconds = _once(work)
    return seconds if seconds > 5 else _once(work)  # the first time sets much up


def _once(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
