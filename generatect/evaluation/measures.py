"""What each metric needs of a volume."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from generatect.ct.grid import Grid
from generatect.ct.intensity import WINDOWS
from generatect.errors import InputError
from generatect.evaluation.clip_model import ClipModel
from generatect.evaluation.clips import clips, shown_slices, slices
from generatect.evaluation.detectors import Detector
from generatect.evaluation.features import Measure
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.volumes import EvaluatedVolume
from generatect.metrics.hu_histogram import hu_histogram
from generatect.metrics.reconstruction import psnr, ssim
from generatect.metrics.window_quality import psnr_in_window, ssim_in_window
from generatect.metrics.z_continuity import jerk_hu

IMAGES_PER_BATCH, CLIPS_PER_BATCH = 16, 4
QUALITY = ("psnr", *(f"psnr_{name}" for name in WINDOWS), "ssim", *(f"ssim_{name}" for name in WINDOWS))
"""PSNR and SSIM over ±1000 HU and in each display window, as `quality` gives them."""


def slice_features(detector: Detector, preset: EvaluationPreset, plane: str) -> Measure:
    """Features [k d] of a volume's slices in one plane."""
    depends_on = {
        "detector": detector.record.sha256,
        "hu_range": list(preset.hu_range),
        "slices_per_volume": preset.slices_per_volume,
        "seed": preset.seed,
        "plane": plane,
    }

    def make(voxels_hu: Shaped[np.ndarray, "z y x"], volume: EvaluatedVolume) -> np.ndarray:
        return _features(detector, slices(voxels_hu, preset, volume.sha256, plane), IMAGES_PER_BATCH)

    return Measure(f"{plane} slices", depends_on, make)


def clip_features(detector: Detector, preset: EvaluationPreset, side: str) -> Measure:
    """Features [k d] of a volume's clips; none where it is shorter than one."""
    depends_on = {
        "detector": detector.record.sha256,
        "hu_range": list(preset.hu_range),
        "clip_length": preset.clip_length,
        "clips_per_volume": preset.clips_per_volume,
        "offset": preset.offset_of(side),
        "seed": preset.seed,
    }

    def make(voxels_hu: Shaped[np.ndarray, "z y x"], volume: EvaluatedVolume) -> np.ndarray:
        return _features(detector, clips(voxels_hu, preset, side, volume.sha256), CLIPS_PER_BATCH)

    return Measure("clips", depends_on, make)


def histogram() -> Measure:
    """Shares of the voxels at each HU."""
    return Measure("HU histogram", {}, lambda voxels_hu, _: hu_histogram(voxels_hu))


def jerk() -> Measure:
    """Slice-to-slice jerk in HU, [1]."""
    return Measure("z-continuity", {}, lambda voxels_hu, _: np.array([jerk_hu(voxels_hu)]))


def quality(partners: Mapping[str, EvaluatedVolume], volume: EvaluatedVolume, grid: Grid | None) -> Measure:
    """The numbers of `QUALITY` of a volume against the real one of its name; NaN where slices are too small."""
    partner = partners[volume.name]

    def make(voxels_hu: Shaped[np.ndarray, "z y x"], _: EvaluatedVolume) -> np.ndarray:
        original, other = (
            torch.from_numpy(np.asarray(hu, dtype=np.float32)) for hu in (partner.read_hu(grid), voxels_hu)
        )
        if original.shape != other.shape:
            raise InputError(
                f"{volume.path}: {tuple(other.shape)} voxels, but {partner.path}: {tuple(original.shape)}; PSNR and "
                "SSIM need one grid"
            )
        values: list[float | None] = []
        for whole, in_window in ((psnr, psnr_in_window), (ssim, ssim_in_window)):
            values.append(whole(original, other))
            values += [in_window(original, other, width, level) for width, level in WINDOWS.values()]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    return Measure("PSNR and SSIM", {"partner": partner.sha256}, make)


def clip_scores(model: ClipModel, preset: EvaluationPreset, prompt: str, other: str) -> Measure:
    """CLIP score of a volume's slices against its own prompt and against another's, [2]."""
    depends_on = {
        "model": model.record.sha256,
        "prompts": [prompt, other],
        "window": preset.clip_window,
        "slices": preset.clip_slices,
        "keeps_end": preset.clip_keeps_end,
    }

    def make(voxels_hu: Shaped[np.ndarray, "z y x"], _: EvaluatedVolume) -> np.ndarray:
        images = shown_slices(voxels_hu, preset)
        return np.array([model.score(images, text, preset.clip_keeps_end) for text in (prompt, other)])

    return Measure("CLIP score", depends_on, make)


def _features(detector: Detector, items: Tensor, per_batch: int) -> np.ndarray:
    parts = [detector(batch) for batch in items.split(per_batch)] if len(items) else []
    empty = torch.zeros(0, detector.record.width)
    return torch.cat([empty, *parts]).numpy()
