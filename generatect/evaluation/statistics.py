"""Distances of two sets of volumes, with interval, floor and notes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Shaped

from generatect.errors import InputError
from generatect.evaluation.detectors import Detector
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.random_network import RandomNetwork
from generatect.evaluation.result import Floor, Result
from generatect.evaluation.sides import Sides
from generatect.metrics.bootstrap import TwoSample, bootstrap, interval_around, split_halves
from generatect.metrics.fid_2p5d import fid_2p5d_between
from generatect.metrics.frechet import FeatureStatistics, frechet_distance
from generatect.metrics.hu_histogram import hu_distance_between
from generatect.metrics.kid import kid_of_subsets
from generatect.metrics.two_sample import frechet_between, kid_between
from generatect.metrics.z_continuity import jerk_ratio_between

REAL_AGAINST_REAL = "real against real"
KERNEL_OF = {"fid": "kid", "fvd": "kvd"}
IS_DISTANCE = ("fid", "fvd", "fid_2.5d", "hu_histogram")
"""Never below zero."""
MAX_KERNEL_ROWS = 5000
SUBSETS = (1000, 100)
"""Size and number of the subsets by which KID is published, where the kernel of all pairs would not fit."""

Measured = Sequence[Shaped[np.ndarray, "..."]]
"""One array for each volume."""


def two_sample_results(
    metric: str, sides: Sides, parts: Mapping[str, tuple[Measured, Measured]], detector: Detector | None
) -> list[Result]:
    """The distance of two sets of volumes; where they are few and the preset says so, its kernel distance, too.

    Args:
        metric: its name.
        sides: the comparison.
        parts: what was measured in the real and in the generated volumes; three planes for "fid_2.5d", else one part.
        detector: what made the features; None where nothing did.

    Raises:
        InputError: fewer than two volumes left on a side.
    """
    preset = sides.preset
    limits = {"fvd": (preset.max_clips,) * 2, "kvd": (preset.max_clips,) * 2}
    real_limit, fake_limit = limits.get(metric, (None, preset.max_fake_images if metric in ("fid", "kid") else None))
    kept = {label: (_first(a, real_limit), _first(b, fake_limit)) for label, (a, b) in parts.items()}
    firsts, seconds = ({label: pair[side] for label, pair in kept.items()} for side in (0, 1))
    num_real, num_fake = len(next(iter(firsts.values()))), len(next(iter(seconds.values())))
    measured_real, measured_fake = next(iter(parts.values()))
    num_dropped = sum(not len(item) for item in (*measured_real, *measured_fake))
    if min(num_real, num_fake) < 2:
        why = f"have {preset.clip_length} slices or more, the length of a clip" if num_dropped else "count"
        raise InputError(
            f"{metric}: {num_real} real and {num_fake} generated volumes {why}; expected at least 2 of each, add "
            "volumes, lower evaluation.clip_length or raise evaluation.max_clips and max_fake_images"
        )
    result = sides.result(metric, _value(metric, firsts, seconds, preset), num_real, num_fake)
    notes = [*result.notes, *_notes(metric, sides, kept, detector, num_dropped)]
    if _is_large_kernel(metric, firsts, seconds):
        notes.append(f"the mean over {SUBSETS[1]} subsets of {SUBSETS[0]}, as KID is published; no interval, no floor")
    else:
        result = _with_spread(result, sides, firsts, seconds)
    result = replace(
        result, notes=tuple(notes), num_dropped=num_dropped, detector=detector.record if detector else None
    )
    if metric in KERNEL_OF and preset.kid_where_small and _is_small(kept):
        return [result, *two_sample_results(KERNEL_OF[metric], sides, parts, detector)]
    return [result]


def _value(
    metric: str, firsts: Mapping[str, Measured], seconds: Mapping[str, Measured], preset: EvaluationPreset
) -> float:
    """The statistic of all volumes; of features only one volume's are in memory at a time."""
    if metric in ("fid", "fvd", "fid_2.5d"):
        pairs = [(_gathered(firsts[label]), _gathered(seconds[label])) for label in firsts]
        return float(np.mean([frechet_distance(a, b, preset.ddof) for a, b in pairs]))
    if _is_large_kernel(metric, firsts, seconds):
        a, b = (torch.from_numpy(np.concatenate(list(part[""]))) for part in (firsts, seconds))
        return kid_of_subsets(a, b, *SUBSETS, np.random.default_rng([preset.seed, 3]))[0]
    statistic = _between(metric, firsts, seconds, preset)
    return statistic(np.arange(len(firsts[""])), np.arange(len(seconds[""])))


def _between(
    metric: str, firsts: Mapping[str, Measured], seconds: Mapping[str, Measured], preset: EvaluationPreset
) -> TwoSample:
    """The statistic as a function of which volumes are taken."""
    if metric == "fid_2.5d":
        return fid_2p5d_between(firsts, seconds, preset.ddof)
    first, second = firsts[""], seconds[""]
    if metric in ("fid", "fvd"):
        return frechet_between(first, second, preset.ddof)
    if metric in ("kid", "kvd"):
        return kid_between(first, second)
    if metric == "hu_histogram":
        return hu_distance_between(first, second)
    assert metric == "z_continuity", metric
    return jerk_ratio_between([float(value[0]) for value in first], [float(value[0]) for value in second])


def _with_spread(
    result: Result, sides: Sides, firsts: Mapping[str, Measured], seconds: Mapping[str, Measured]
) -> Result:
    """The result with interval and floor, as far as the preset asks for them."""
    metric, preset = result.metric, sides.preset
    lowest = 0.0 if metric in IS_DISTANCE else -np.inf
    if preset.resamples:
        statistic, generator = _between(metric, firsts, seconds, preset), np.random.default_rng([preset.seed, 1])

        def show(done: int) -> None:
            sides.progress(f"{metric}: interval", done, preset.resamples)

        replicates = bootstrap(statistic, result.num_real, result.num_fake, preset.resamples, generator, show)
        result = replace(result, interval=interval_around(result.value, replicates, lowest))
    if preset.floor_splits:
        if result.num_real < 4:
            raise InputError(
                f"{metric}: {result.num_real} real volumes count; the floor compares halves of them and needs at least "
                "4, add volumes or evaluation.floor_splits=0"
            )
        statistic, generator = _between(metric, firsts, firsts, preset), np.random.default_rng([preset.seed, 2])
        values = split_halves(statistic, result.num_real, preset.floor_splits, generator)
        sides.progress(f"{metric}: floor", 1, 1)
        low, high = (float(edge) for edge in np.quantile(values, [0.025, 0.975]))
        interval = (low, high) if preset.floor_splits > 1 else None
        result = replace(result, floor=Floor(float(values.mean()), interval, result.num_real // 2, REAL_AGAINST_REAL))
    return result


def _notes(
    metric: str,
    sides: Sides,
    kept: Mapping[str, tuple[Measured, Measured]],
    detector: Detector | None,
    num_dropped: int,
) -> list[str]:
    """What must be said with a distance of features."""
    notes = []
    if num_dropped:
        notes.append(f"{num_dropped} volumes dropped: shorter than {sides.preset.clip_length} slices")
    if detector and isinstance(detector.network, RandomNetwork):
        notes.append("an untrained random detector: comparable with itself alone, not with published numbers")
    if metric in ("fid", "fvd", "fid_2.5d") and _is_small(kept):
        num_rows, width = _rows_and_width(kept)
        notes.append(f"{num_rows} items, features {width} wide: covariances are singular; look at the floor and at KID")
    return notes


def _first(items: Measured, limit: int | None) -> Measured:
    """The volumes that have rows, up to `limit` rows of all together."""
    kept, left = [], sum(map(len, items)) if limit is None else limit
    for item in items:
        if len(item) and left > 0:
            kept.append(item[:left])
            left -= len(item)
    return kept


def _gathered(items: Measured) -> FeatureStatistics:
    statistics = FeatureStatistics(items[0].shape[1])
    for item in items:
        statistics.update(torch.tensor(item))  # a copy: the file is mapped read-only
    return statistics


def _rows_and_width(kept: Mapping[str, tuple[Measured, Measured]]) -> tuple[int, int]:
    """Items of the smallest side, and the width of a feature vector."""
    sizes = [sum(map(len, side)) for pair in kept.values() for side in pair]
    return min(sizes), next(iter(kept.values()))[0][0].shape[1]


def _is_small(kept: Mapping[str, tuple[Measured, Measured]]) -> bool:
    num_rows, width = _rows_and_width(kept)
    return num_rows <= width


def _is_large_kernel(metric: str, firsts: Mapping[str, Measured], seconds: Mapping[str, Measured]) -> bool:
    """Whether the kernels of all pairs would be gigabytes."""
    if metric not in KERNEL_OF.values():
        return False
    return max(sum(map(len, part[""])) for part in (firsts, seconds)) > MAX_KERNEL_ROWS
