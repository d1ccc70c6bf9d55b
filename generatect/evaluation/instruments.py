"""From settings to what numbers are made with: detectors, CLIP, a cache."""

from collections.abc import Mapping, Sequence
from typing import Any

from generatect.config.build import build
from generatect.config.check import check_arguments
from generatect.data.cache import ArrayCache
from generatect.errors import InputError
from generatect.evaluation.clip_model import ClipModel, load_clip
from generatect.evaluation.compare import Tools, needed_detectors
from generatect.evaluation.detectors import SETTING, Detector, load_detector


def load_tools(
    metrics: Sequence[str],
    detectors: Mapping[str, Mapping[str, Any]],
    clip_score: Mapping[str, Any],
    device: str,
    cache_dir: str,
) -> Tools:
    """Detectors and CLIP, as far as the metrics need them.

    Args:
        metrics: of `METRICS`.
        detectors: "fid" and "fvd" → `detector`, `sha256`, `width` of `load_detector`.
        clip_score: `model` of `load_clip`.
        device: where they shall run.
        cache_dir: folder of what was measured in each volume.

    Raises:
        InputError: an unknown setting, or a detector that cannot be used.
    """
    loaded: dict[str, Detector] = {}
    for kind in needed_detectors(metrics):
        key = SETTING[kind]
        settings = {"detector": "random", "sha256": None, "width": None} | dict(detectors[key])
        check_arguments(_detector_setting, settings, key)
        loaded[kind] = _detector_setting(kind=kind, device=device, **settings)
    check_arguments(_clip_setting, clip_score, "clip_score")
    clip = _clip_setting(device=device, **clip_score) if "clip_score" in metrics else None
    return Tools(loaded, clip, ArrayCache(cache_dir))


def _detector_setting(
    *, kind: str = "", detector: str | dict[str, Any], sha256: str | None, width: int | None, device: str = ""
) -> Detector:
    built = build(detector) if isinstance(detector, dict) else detector
    return load_detector(built, kind, sha256, width, device)


def _clip_setting(*, model: str | None = None, device: str = "") -> ClipModel:
    if model is None:
        raise InputError("clip_score.model: none given; name a folder or ORG/NAME such as openai/clip-vit-base-patch16")
    return load_clip(model, device)
