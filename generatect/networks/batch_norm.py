"""Batch norm (Ioffe & Szegedy 2015, arXiv:1502.03167) over the batches of all processes that train together."""

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class BatchNorm(nn.BatchNorm2d):
    """As torch's, but processes share their statistics, on CPUs too, and what is not finite is not remembered.

    So several processes train as one with all of their samples would, and hold the same running statistics; and a batch
    with voxels that are no numbers, whose step is left out, leaves nothing behind.
    """

    def forward(self, input: Float[Tensor, "n d y x"]) -> Float[Tensor, "n d y x"]:
        """Features normalised by the batch while training, else by the running statistics."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            mean, square = all_reduce(torch.stack([mean, variance + mean.square()])) / dist.get_world_size()
            variance = (square - mean.square()).clamp(min=0)
        self._remember(mean.detach(), variance.detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (values * scale[:, None, None] + shift[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        for running, value in ((self.running_mean, mean), (self.running_var, variance)):
            running.lerp_(torch.where(value.isfinite(), value, running), self.momentum)
