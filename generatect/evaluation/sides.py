"""What all numbers of one comparison have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.result import Result
from generatect.evaluation.volumes import EvaluatedFolder
from generatect.progress import Progress


@dataclass(frozen=True, eq=False)
class Sides:
    """What all numbers of one comparison share.

    Attributes:
        real: the real volumes.
        fake: the generated ones.
        preset: the protocol.
        protocol: the same as plain values, with the grid.
        notes: what must be said with each number.
        progress: called as resampling goes on.
    """

    real: EvaluatedFolder
    fake: EvaluatedFolder
    preset: EvaluationPreset
    protocol: Mapping[str, Any]
    notes: tuple[str, ...]
    progress: Progress

    def result(self, metric: str, value: float, num_real: int, num_fake: int) -> Result:
        """A result with all that is known before anything is resampled."""
        return Result(
            metric=metric,
            value=value,
            preset=self.preset.name,
            num_real=num_real,
            num_fake=num_fake,
            fake_files_sha256=self.fake.sha256,
            real_files_sha256=self.real.sha256 if num_real else None,
            weights=self.fake.weights,
            protocol=dict(self.protocol),
            notes=self.notes,
        )
