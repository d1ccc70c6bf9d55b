"""Fully sharded training (FSDP2, Zhao et al. 2023, arXiv:2304.11277), applied to networks from outside.

The blocks of a network are sharded: each process keeps its part of their weights, gradients and optimizer state, and
they come together only while they are needed. What lies between the blocks is small and stays whole everywhere:
embeddings, norms, the last layer of the decoder, at which the adversarial loss is weighed, and the discriminator, whose
gradient penalty is differentiated twice. Cross-attention stays whole, too: it reads its text ahead of the blocks.
"""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard

from generatect.networks import attention, unet_blocks
from generatect.networks.ctnet import ResNetLevel
from generatect.networks.transformer import TransformerLayer
from generatect.networks.unet_blocks import ResidualBlock

BLOCKS = (TransformerLayer, ResidualBlock, ResNetLevel)
"""What is repeated in a network and holds most of its weights and activations."""
WHOLE = (attention.CrossAttention, unet_blocks.CrossAttention)


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The blocks of a network; none lies within another."""
    return [module for module in network.modules() if isinstance(module, BLOCKS)]


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Spreads the blocks of `network` over the processes of `mesh`, in place; names of weights stay as they are."""
    blocks = blocks_of(network)
    if not blocks:
        return
    apart = {p for module in network.modules() if isinstance(module, WHOLE) for p in module.parameters()}
    within = {p for block in blocks for p in block.parameters()} - apart
    for block in blocks:
        fully_shard(block, mesh=mesh, ignored_params=apart)
    # The network itself becomes the root, which has no weights of its own but lets its blocks prefetch one another.
    fully_shard(network, mesh=mesh, ignored_params=set(network.parameters()) - within)
