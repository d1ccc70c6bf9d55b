"""What a volume will cost, from what the networks took here."""

import time
from dataclasses import dataclass, replace

import torch

from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.progress import duration, size


@dataclass(frozen=True)
class Rates:
    """Seconds of one evaluation of each network on this machine.

    Attributes:
        token_seconds: of one pass over all tokens.
        slice_seconds: of one denoising step of one slice.
    """

    token_seconds: float
    slice_seconds: float


def measure(model: TextToCT, tokens: TokenOptions, upscale: UpscaleOptions) -> Rates:
    """Times one evaluation of each network; twice where that is quick, for the first one is slow."""
    for _ in range(2):
        started = time.monotonic()
        model.sample_lowres(["."], 0, replace(tokens, steps=1, guidance=1.0))
        token_seconds = time.monotonic() - started
        num_slices = min(model.preset.upscaled_grid.shape_zyx[0], upscale.slices_per_batch)
        lowres = torch.zeros(1, num_slices, *model.preset.grid.shape_zyx[1:])
        once = replace(upscale, steps=1, guidance=1.0)
        started = time.monotonic()
        model.upscale(lowres, ".", 0, once)
        slice_seconds = (time.monotonic() - started) / num_slices
        if token_seconds + slice_seconds * num_slices > 3:
            break
    return Rates(token_seconds, slice_seconds)


def expect(model: TextToCT, rates: Rates, tokens: TokenOptions, upscale: UpscaleOptions) -> dict[str, float]:
    """Seconds of each stage of one volume."""
    num_slices = model.preset.upscaled_grid.shape_zyx[0]
    return {
        "tokens": rates.token_seconds * tokens.steps * _evaluations(tokens.guidance),
        "slices": rates.slice_seconds * num_slices * upscale.steps * _evaluations(upscale.guidance),
    }


def describe(model: TextToCT, rates: Rates, tokens: TokenOptions, upscale: UpscaleOptions) -> str:
    """The cost of one volume, in words."""
    z, y, x = model.preset.upscaled_grid.shape_zyx
    seconds = sum(expect(model, rates, tokens, upscale).values())
    return f"about {duration(seconds)} on {model.device}, for {z} × {y} × {x} voxels, at most {size(z * y * x * 2)}"


def _evaluations(guidance: float) -> int:
    """Evaluations that a step takes: with and without the text, unless the text alone counts."""
    return 1 if guidance == 1 else 2
