"""Counts the floating-point operations of training steps."""

import contextlib
import sys
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
FORMULAS = {  # torch's, and those for attention on a CPU, which torch leaves out
    **flop_registry,
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}


class FlopCount(TorchDispatchMode):
    """Adds up the operations of some training steps: forward and backward passes, recomputed activations included.

    Matrix products, convolutions and attention count by torch's formulas, a multiply-add as two. torch's own
    `FlopCounterMode` will not do: it replaces some operations by others, which round differently, and forbids a
    gradient penalty; a counted step must be the step that it would be uncounted. Compiled networks run as they are
    written meanwhile, for what the compiler has fused cannot be counted.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self._open = contextlib.ExitStack()

    def start(self) -> None:
        """From here on operations count."""
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and importing it takes seconds
            self._open.enter_context(torch.compiler.set_stance("force_eager"))
        self._open.enter_context(self)

    def stop(self) -> None:
        """They count no more."""
        self._open.close()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        formula = FORMULAS.get(getattr(function, "_overloadpacket", function))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result
