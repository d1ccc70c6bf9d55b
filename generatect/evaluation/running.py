"""Metrics gathered volume by volume while a stage trains: small, seeded, alike in every process."""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float

from generatect.evaluation.clip_model import ClipModel
from generatect.evaluation.clips import clips, shown_slices, slices
from generatect.evaluation.detectors import CLIPS, Detector
from generatect.evaluation.presets import EvaluationPreset
from generatect.metrics.frechet import FeatureStatistics, frechet_distance

BATCH = 64
"""Slices that a detector sees at once."""

VolumeHU = Float[np.ndarray, "z y x"]


@runtime_checkable
class Running(Protocol):
    """A metric that is fed one volume at a time."""

    name: str

    def add(self, real_hu: VolumeHU, fake_hu: VolumeHU, text: str, key: str) -> None:
        """Takes in a real volume, its counterpart and their report; `key` stands for the place in the fixed set."""
        ...

    def result(self, device: torch.device) -> float:
        """The value over the volumes of all processes since the last one; begins anew."""
        ...

    def forget(self) -> None:
        """Drops what was taken in since the last result."""
        ...


class RunningFrechet:
    """FID over the axial slices, or FVD over one clip of each volume.

    The real volumes are the same at every validation, so their features are computed at the first one alone.

    Args:
        detector: of images for FID, of clips for FVD.
        protocol: which slices and clips.
    """

    def __init__(self, detector: Detector, protocol: EvaluationPreset) -> None:
        self.detector, self.protocol, self.name = detector, protocol, detector.record.name
        self._knows_real = False
        self.forget()

    def add(self, real_hu: VolumeHU, fake_hu: VolumeHU, text: str, key: str) -> None:
        """See `Running`."""
        if not self._knows_real:
            self._update(self._real, real_hu, "real", key)
        self._update(self._fake, fake_hu, "fake", key)

    def result(self, device: torch.device) -> float:
        """See `Running`."""
        self._knows_real = True
        real, fake = self._real.summed(device), self._fake.summed(device)
        self.forget()
        return frechet_distance(real, fake, self.protocol.ddof)

    def forget(self) -> None:
        """See `Running`."""
        if not self._knows_real:
            self._real = FeatureStatistics(self.detector.record.width)
        self._fake = FeatureStatistics(self.detector.record.width)

    def _update(self, statistics: FeatureStatistics, hu: VolumeHU, side: str, key: str) -> None:
        of_clips = self.detector.kind == CLIPS
        items = clips(hu, self.protocol, side, key) if of_clips else slices(hu, self.protocol, key)
        for batch in items.split(1 if of_clips else BATCH):
            statistics.update(self.detector(batch))


class RunningClipScore:
    """Mean CLIP score of the generated volumes' slices against their reports.

    Args:
        model: CLIP.
        protocol: which slices, in which window.
    """

    def __init__(self, model: ClipModel, protocol: EvaluationPreset) -> None:
        self.model, self.protocol, self.name = model, protocol, model.record.name
        self.forget()

    def add(self, real_hu: VolumeHU, fake_hu: VolumeHU, text: str, key: str) -> None:
        """See `Running`."""
        self._total += self.model.score(shown_slices(fake_hu, self.protocol), text, self.protocol.clip_keeps_end)
        self._count += 1

    def result(self, device: torch.device) -> float:
        """See `Running`."""
        sums = torch.tensor([self._total, self._count], dtype=torch.float64, device=device)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums)
        self.forget()
        total, count = sums.tolist()
        return total / count if count else math.nan

    def forget(self) -> None:
        """See `Running`."""
        self._total, self._count = 0.0, 0
