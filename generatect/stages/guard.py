"""Skip steps whose loss or gradient is not finite, and end a run in which that goes on."""

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from generatect.errors import InputError
from generatect.stages.processes import mean_over_processes, of_every_process

MAX_UNSOUND_STEPS = 3
"""So many batches in a row without a finite loss end the run."""


class Guard:
    """Says which step of which stage is skipped, and for which samples; ends the run when that goes on."""

    def __init__(self) -> None:
        self._unsound_steps: dict[str, int] = {}

    def is_sound(self, value: Tensor, name: str, *, stage: str, batch: Mapping[str, Any], batch_idx: int) -> bool:
        """Whether `value`, a loss or the norm of its gradient, is finite in every process; all get the same answer.

        Raises:
            InputError: the third time in a row that it is not.
        """
        if mean_over_processes(value.float()).isfinite():
            self._unsound_steps[name] = 0
            return True
        self._unsound_steps[name] = self._unsound_steps.get(name, 0) + 1
        reports = of_every_process((value.item(), list(batch.get("name", ()))))
        found = [report for report in reports if not math.isfinite(report[0])] or reports
        samples = ", ".join(sample for _, names in found for sample in names) or "unnamed"
        what = f"stage {stage}, step {batch_idx + 1}: the {name} is {found[0][0]}, samples {samples}"
        if self._unsound_steps[name] >= MAX_UNSOUND_STEPS:
            raise InputError(
                f"{what}; step {MAX_UNSOUND_STEPS} in a row without a finite {name}; lower stage.module.optimizer.lr, "
                "choose precision=fp32 or bf16, or look at these samples"
            )
        if rank_zero_only.rank == 0:
            print(f"{what}; step skipped")
        return False
