"""What the validations of a run have found: a file that people, sweeps and searches read."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generatect.files import atomic_path

SCORES = "scores.json"


@dataclass
class Scores:
    """Metrics of a run.

    Attributes:
        steps: training batches done.
        validations: metrics of each validation, by the step it came after.
        final: the last value of every metric, those of training included.
    """

    steps: int = 0
    validations: dict[int, dict[str, float]] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)

    def best(self, metric: str, direction: str = "minimize") -> tuple[int, dict[str, float]] | None:
        """Step and metrics of the validation with the best finite value of `metric`; None where there is none."""
        found = {step: values.get(metric, math.nan) for step, values in self.validations.items()}
        known = {step: value for step, value in found.items() if math.isfinite(value)}
        if not known:
            return None
        step = (min if direction == "minimize" else max)(known, key=lambda step: known[step])
        return step, self.validations[step]

    def write(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        content = {"steps": self.steps, "final": self.final, "validations": self.validations}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_scores(path: Path) -> Scores:
    """The scores in a file; none where there is no file, or not one of ours."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        validations = {int(step): dict(values) for step, values in content["validations"].items()}
        return Scores(int(content["steps"]), validations, dict(content["final"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return Scores()
