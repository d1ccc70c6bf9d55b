"""Several processes: each with the whole model (`ddp`), or each with a part of its blocks (`fsdp`).

Both write the same checkpoints as one process does, through the trainer's own checkpoint writer, and read each other's.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.optim import Optimizer

from generatect.checkpoints.sharded import part_like, whole, whole_state
from generatect.stages.heartbeat import Heartbeat
from generatect.stages.sharding import shard


class _Together(DDPStrategy):
    """Processes that train together, on one host or on several, which hear each other's heartbeat."""

    def __init__(self) -> None:
        super().__init__()
        self._heartbeat: Heartbeat | None = None

    def setup_distributed(self) -> None:
        """Meets the other processes."""
        super().setup_distributed()
        environment = self.cluster_environment
        assert environment is not None
        if self.num_nodes > 1:
            self._heartbeat = Heartbeat(
                dist.distributed_c10d._get_default_store(),
                host=environment.node_rank(),
                num_hosts=self.num_nodes,
                beats=environment.local_rank() == 0,
                leader=environment.main_address,
            )
            self._heartbeat.start()

    def teardown(self) -> None:
        """Parts from the other processes."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        super().teardown()


class ReplicatedStrategy(_Together):
    """Distributed data parallel: gradients are averaged while they are computed.

    Whether some weights stay without a gradient in a backward pass follows from the stage, as in a GAN, and is no
    setting.
    """

    def __init__(self) -> None:
        super().__init__()

    def _setup_model(self, model: nn.Module) -> Any:
        in_turn = bool(getattr(model, "trains_in_turn", False))
        # What moves without gradient, the codebook, is the same in all processes as it is.
        self._ddp_kwargs = {"find_unused_parameters": in_turn, "broadcast_buffers": False}
        return super()._setup_model(model)


class ShardedStrategy(_Together):
    """Fully sharded data parallel, on GPUs and on CPUs; see `generatect.stages.sharding`.

    FSDP averages the gradients of what it shards; the stage averages those of all other weights before it steps.
    """

    def __init__(self) -> None:
        super().__init__()

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Weights are sharded first and then read."""
        return True

    def configure_ddp(self) -> None:
        """Shards every network of the stage, once all processes start from the same weights."""
        assert self.model is not None
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        for value in self.model.state_dict().values():
            dist.broadcast(value, src=0)
        for network in self.model.children():
            shard(network, mesh)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The whole weights, in every process."""
        assert self.lightning_module is not None
        return whole_state(self.lightning_module.state_dict())

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Each process takes its part."""
        assert self.lightning_module is not None
        own = self.lightning_module.state_dict()
        state = {key: part_like(value, own.get(key, value)) for key, value in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(state, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state of an optimizer, laid out as one process lays it out."""
        optimizer = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        content = optimizer.state_dict()
        state = {
            index: {key: whole(value) if isinstance(value, Tensor) else value for key, value in entry.items()}
            for index, entry in content["state"].items()
        }
        return {**content, "state": state}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Each process takes its part."""
        for optimizer, content in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            state = {
                index: {key: _part_of_moment(value, parameters[index]) for key, value in entry.items()}
                for index, entry in content["state"].items()
            }
            optimizer.load_state_dict({**content, "state": state})

    def teardown(self) -> None:
        """Leaves the weights on their devices: the last checkpoint is gathered after the run."""
        assert self.cluster_environment is not None
        assert self.accelerator is not None
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()


def _part_of_moment(value: Any, parameter: torch.Tensor) -> Any:
    """A moment has its parameter's shape and place; a step count has neither."""
    is_moment = isinstance(value, Tensor) and value.shape == parameter.shape
    return part_like(value, parameter) if is_moment else value
