"""Operations and peak memory of a computation, found by running it on tensors that hold no numbers.

Nothing is approximated by formulas that a change of a network would make wrong: the real code runs, with the kernels
that it would choose, and only shapes are computed.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """What one evaluation takes.

    Attributes:
        flops: floating-point operations of convolutions, products of matrices and attention; a multiply-add is two.
        peak_bytes: most memory at once in tensors that it makes, results included, weights and arguments not.
    """

    flops: int
    peak_bytes: int


def dry_run(function: Callable[..., Any], *shapes: tuple[int, ...], device: torch.device | None = None) -> Cost:
    """Cost of calling a function in inference mode.

    Args:
        function: takes fp32 tensors; may close over modules with real weights, which are only looked at.
        shapes: of the function's arguments.
        device: of the arguments; None: the CPU.
    """
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    memory, counter = _LiveMemory(), FlopCounterMode(display=False, custom_mapping=attention)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        arguments = [torch.empty(shape, device=device) for shape in shapes]
        with counter, memory:
            result = function(*arguments)
        del result
    return Cost(int(counter.get_total_flops()), memory.peak_bytes)


def _attention_flops(
    q_shape: tuple[int, ...], k_shape: tuple[int, ...], v_shape: tuple[int, ...], *_args: Any, **_kwargs: Any
) -> int:
    """Both products; torch counts those of a GPU's kernels itself."""
    *batch, num_queries, width = q_shape
    return 2 * prod(batch) * num_queries * k_shape[-2] * (width + v_shape[-1])


class _LiveMemory(TorchDispatchMode):
    """Adds up the storages that operations have made and that are still referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.seen: set[int] = set()
        self.peak_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        out = func(*args, **(kwargs or {}))
        self.live = {key: value for key, value in self.live.items() if not value[0].expired()}
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in inputs and storage._cdata not in self.live:
                    self.live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(size for _, size in self.live.values()))
        return out
