"""Means of one value for each generated volume, with interval, floor and notes."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from generatect.errors import InputError
from generatect.evaluation.clip_model import ClipModel
from generatect.evaluation.result import Floor, Result
from generatect.evaluation.sides import Sides
from generatect.metrics.bootstrap import bootstrap_pairs, interval_around

OTHER_PROMPTS = "the same volumes against others' prompts"


def paired_result(
    metric: str,
    values: Float64[np.ndarray, "n"],
    sides: Sides,
    chance: Float64[np.ndarray, "n"] | None = None,
    clip: ClipModel | None = None,
    num_cut: int = 0,
) -> Result:
    """The mean of one value for each generated volume, its interval, and what chance gives.

    Args:
        metric: its name.
        values: of each volume.
        sides: the comparison.
        chance: the same where volumes are held against others' prompts; None where there is no such thing.
        clip: the model of a CLIP score.
        num_cut: prompts that it read in part.

    Raises:
        InputError: a value is missing or infinite.
    """
    if not np.isfinite(values).all():
        name = sides.fake.volumes[int(np.argmin(np.isfinite(values)))].path
        what = "slices smaller than 11 × 11 have no SSIM" if metric.startswith("ssim") else "equals its partner"
        raise InputError(f"{name}: {metric} is not finite: {what}; leave the metric out, or the volume")
    preset, generator = sides.preset, np.random.default_rng([sides.preset.seed, 1])
    # CLIP holds volumes against prompts alone; PSNR and SSIM need as many real volumes.
    result = sides.result(metric, float(values.mean()), 0 if clip else len(values), len(values))
    floor = None
    if chance is not None:
        spread = bootstrap_pairs(chance, preset.resamples, generator) if preset.resamples else None
        interval = interval_around(float(chance.mean()), spread) if spread is not None else None
        floor = Floor(float(chance.mean()), interval, len(chance), OTHER_PROMPTS)
    if preset.resamples:
        interval = interval_around(result.value, bootstrap_pairs(values, preset.resamples, generator))
        result = replace(result, interval=interval)
    notes = list(result.notes)
    if num_cut:
        said = f"{num_cut} of {len(values)} prompts cut at {clip.scorer.max_tokens} tokens" if clip else ""
        if not preset.clip_keeps_end:
            said += ", end mark and all: CLIP reads these as one and the same empty text"
        notes.append(said)
    return replace(result, floor=floor, detector=clip.record if clip else None, notes=tuple(notes))
