"""Generated volumes against real ones: every number that was asked for, as a `Result`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from generatect.ct.grid import Grid
from generatect.data.cache import ArrayCache
from generatect.evaluation import measures
from generatect.evaluation.clip_model import ClipModel
from generatect.evaluation.detectors import CLIPS, IMAGES, Detector
from generatect.evaluation.features import Measure, Task, identities, measure_all, measured
from generatect.evaluation.paired import paired_result
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.requirements import PAIRED, require_comparable
from generatect.evaluation.result import Result
from generatect.evaluation.sides import Sides
from generatect.evaluation.statistics import two_sample_results
from generatect.evaluation.volumes import EvaluatedFolder, refuse_shared
from generatect.metrics.fid_2p5d import PLANES
from generatect.progress import Progress

DETECTORS = {"fid": IMAGES, "kid": IMAGES, "fid_2.5d": IMAGES, "fvd": CLIPS, "kvd": CLIPS}


@dataclass(frozen=True, eq=False)
class Tools:
    """What numbers are made with.

    Attributes:
        detectors: "images" and "clips", as far as metrics need them; see `needed_detectors`.
        clip: for the metric "clip_score".
        cache: keeps what was measured in each volume.
    """

    detectors: Mapping[str, Detector]
    clip: ClipModel | None
    cache: ArrayCache


def needed_detectors(metrics: Sequence[str]) -> list[str]:
    """Kinds of detectors, "images" or "clips", that the metrics read with."""
    return sorted({DETECTORS[name] for name in metrics if name in DETECTORS})


def compare(
    real: EvaluatedFolder,
    fake: EvaluatedFolder,
    *,
    metrics: Sequence[str],
    preset: EvaluationPreset,
    tools: Tools,
    grid: str = "one",
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda label, done, total: None,
) -> list[Result]:
    """Measures both folders, as far as that has not been done, and computes every metric.

    Args:
        real: the real volumes.
        fake: the generated ones.
        metrics: of `METRICS`; more come where the preset says so (KID where volumes are few).
        preset: the protocol.
        tools: detectors, CLIP, cache.
        grid: "one": refuse volumes of different shape or spacing; "fake": resample the real ones in millimetres to the
            grid of the generated ones; "any": take them as they are, which the result notes.
        say: takes lines for the terminal.
        progress: called as work goes on.

    Raises:
        InputError: whatever keeps a number from meaning what its name says: too few volumes, real volumes among the
            generated, different grids, unreadable files, volumes without prompt or partner.
    """
    require_comparable(real, fake, metrics, preset, grid)
    common = fake.grid if grid == "fake" else None
    real_tasks, fake_tasks = _tasks(real, fake, metrics, preset, tools, common)
    measure_all([*real_tasks, *fake_tasks], tools.cache, say, progress)
    of_real, of_fake = (identities(folder.volumes, tools.cache) for folder in (real, fake))
    refuse_shared(real, fake, of_real, of_fake)

    said = ["volumes on different grids are compared as they are"] if grid == "any" else []
    for what, contents in (("real", of_real), ("generated", of_fake)):
        if surplus := len(contents) - len(set(contents)):
            said.append(f"{surplus} of {len(contents)} {what} volumes hold the voxels of another one and count again")
    protocol = asdict(preset) | {"hu_range": list(preset.hu_range), "grid": _grid_said(grid, common, real, fake)}
    sides = Sides(real, fake, preset, protocol, tuple(said), progress)

    def both(name: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return measured(real_tasks, name, tools.cache), measured(fake_tasks, name, tools.cache)

    results: list[Result] = []
    for metric in metrics:
        if metric == "fid_2.5d":
            planes = {plane: both(f"{plane} slices") for plane in PLANES}
            results += two_sample_results(metric, sides, planes, tools.detectors[IMAGES])
        elif metric in DETECTORS:
            kind = DETECTORS[metric]
            features = both("clips" if kind == CLIPS else "axial slices")
            results += two_sample_results(metric, sides, {"": features}, tools.detectors[kind])
        elif metric in ("hu_histogram", "z_continuity"):
            values = both("HU histogram" if metric == "hu_histogram" else "z-continuity")
            results += two_sample_results(metric, sides, {"": values}, None)
        elif metric == "clip_score":
            assert tools.clip is not None
            scores = np.stack(measured(fake_tasks, "CLIP score", tools.cache))
            cut = sum(tools.clip.scorer.is_cut(volume.prompt or "") for volume in fake.volumes)
            results.append(paired_result(metric, scores[:, 0], sides, scores[:, 1], tools.clip, cut))
        else:
            table = np.stack(measured(fake_tasks, "PSNR and SSIM", tools.cache))
            for name, values in zip(measures.QUALITY, table.T, strict=True):
                if name.startswith(metric):
                    results.append(paired_result(name, values, sides))
    return _once(results)


def _tasks(
    real: EvaluatedFolder,
    fake: EvaluatedFolder,
    metrics: Sequence[str],
    preset: EvaluationPreset,
    tools: Tools,
    common: Grid | None,
) -> tuple[list[Task], list[Task]]:
    """What is to be measured in each volume."""
    shared, of_side = list[Measure](), dict[str, list[Measure]](real=[], fake=[])
    if {"fid", "kid"} & set(metrics):
        shared.append(measures.slice_features(tools.detectors[IMAGES], preset, "axial"))
    if "fid_2.5d" in metrics:
        planes = [plane for plane in PLANES if plane != "axial" or not shared]
        shared += [measures.slice_features(tools.detectors[IMAGES], preset, plane) for plane in planes]
    if {"fvd", "kvd"} & set(metrics):
        for side, own in of_side.items():
            own.append(measures.clip_features(tools.detectors[CLIPS], preset, side))
    if "hu_histogram" in metrics:
        shared.append(measures.histogram())
    if "z_continuity" in metrics:
        shared.append(measures.jerk())
    real_tasks = [Task(volume, shared + of_side["real"], common) for volume in real.volumes]
    partners = {volume.name: volume for volume in real.volumes}
    fake_tasks = []
    for index, volume in enumerate(fake.volumes):
        own = shared + of_side["fake"]
        if set(PAIRED) & set(metrics):
            own = [*own, measures.quality(partners, volume, common)]
        if "clip_score" in metrics:
            other = fake.volumes[(index + 1) % len(fake.volumes)]
            assert tools.clip is not None
            assert volume.prompt is not None
            assert other.prompt is not None
            own = [*own, measures.clip_scores(tools.clip, preset, volume.prompt, other.prompt)]
        fake_tasks.append(Task(volume, own, common))
    return real_tasks, fake_tasks


def _grid_said(grid: str, common: Grid | None, real: EvaluatedFolder, fake: EvaluatedFolder) -> dict[str, object]:
    where = common or (fake.grid if grid == "one" else None)
    if where is None:
        return {"rule": grid}
    return {"rule": grid, "shape_zyx": list(where.shape_zyx), "spacing_mm_zyx": list(where.spacing_mm_zyx)}


def _once(results: list[Result]) -> list[Result]:
    """Each metric once: KID may have been asked for and come by itself."""
    return list({result.metric: result for result in results}.values())
