"""The settings that fit a generation into a memory, and what it is expected to take."""

from dataclasses import dataclass

from generatect.errors import InputError
from generatect.planning.costs import Costs
from generatect.planning.memory import GB

MAX_SLICES_ON_CPU = 4  # more at once are not faster there
SCRATCH_BYTES_ON_CPU = 130_000_000  # what kernels and heap take beside the tensors, measured: benchmarks/planned.py
WRITING_COPIES = 4  # of the fp32 volume while it becomes int16: itself, HU, patient axes, and the file


@dataclass(frozen=True)
class Plan:
    """What was chosen, and the peak memory that is expected of it.

    Attributes:
        dense_bias: whether the position bias of every pair of tokens is kept; None: no tokens are sampled.
        slices_per_batch: slices refined at once; 0: none are refined.
        offload: whether networks are on the device only while they are needed.
        peak_bytes: most memory at once, all of the process on a CPU, the device's on a GPU.
    """

    dense_bias: bool | None
    slices_per_batch: int
    offload: bool
    peak_bytes: int

    def __str__(self) -> str:
        parts = [] if self.dense_bias is None else [f"position bias {'whole' if self.dense_bias else 'by slices'}"]
        parts += [f"{self.slices_per_batch} slices at once"] if self.slices_per_batch else []
        parts += ["networks on the device only while needed"] if self.offload else []
        return ", ".join(parts)


def make_plan(
    costs: Costs,
    *,
    budget_bytes: int,
    held_bytes: int,
    weights_bytes: dict[str, int],
    max_slices: int,
    on_cpu: bool,
) -> Plan:
    """The fastest settings that fit.

    Fewer slices at once cost little, so they go first; then the whole position bias; last, networks leave the device.

    Args:
        costs: of the parts, with the position bias whole if it may be.
        budget_bytes: what the process may hold, what it holds now included.
        held_bytes: what it holds now, all networks loaded.
        weights_bytes: of the networks of "tokens" and of "slices", parts of `held_bytes`.
        max_slices: most slices at once.
        on_cpu: whether results and weights share one memory with everything else.

    Raises:
        InputError: the least that is possible does not fit.
    """
    most = min(max_slices, costs.num_slices, MAX_SLICES_ON_CPU if on_cpu else max_slices)
    biases = [None] if costs.token_step is None else [True, False] if costs.dense_bias_bytes else [False]
    plans = [
        _plan(costs, held_bytes, weights_bytes, dense, slices, offload, on_cpu)
        for offload in ([False] if on_cpu else [False, True])
        for dense in biases
        for slices in (range(most, 0, -1) if costs.slice_step else [0])
    ]
    fitting = [plan for plan in plans if plan.peak_bytes <= budget_bytes]
    if not fitting:
        least = min(plan.peak_bytes for plan in plans)
        raise InputError(
            f"memory={budget_bytes / GB:.2f} GB: this model needs at least {least / GB:.2f} GB"
            f"{', one slice at a time' if costs.slice_step else ''}; give it more, or take another device"
        )
    return fitting[0]


def _plan(
    costs: Costs,
    held_bytes: int,
    weights_bytes: dict[str, int],
    dense: bool | None,
    slices: int,
    offload: bool,
    on_cpu: bool,
) -> Plan:
    absent = {stage: weights_bytes[other] if offload else 0 for stage, other in _OTHERS.items()}
    step = costs.token_step.peak_bytes if costs.token_step else 0
    tokens = max(step - (0 if dense else costs.dense_bias_bytes), costs.decoder.peak_bytes)
    refining = costs.volume_bytes + slices * (costs.slice_step.peak_bytes if costs.slice_step else 0)
    writing = WRITING_COPIES * costs.volume_bytes if on_cpu else costs.volume_bytes
    peaks = (tokens - absent["tokens"], refining - absent["slices"], writing)
    return Plan(dense, slices, offload, held_bytes + max(peaks) + (SCRATCH_BYTES_ON_CPU if on_cpu else 0))


_OTHERS = {"tokens": "slices", "slices": "tokens"}
