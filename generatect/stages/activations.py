"""Memory and time of networks in training, settled from outside: nothing of it shows in the names of the weights."""

import functools

from torch import nn
from torch.utils.checkpoint import checkpoint

from generatect.networks.discriminator import Discriminator
from generatect.stages.sharding import blocks_of


def forget_activations(network: nn.Module) -> None:
    """Lets every block forget its activations and compute them again in the backward pass (Chen et al. 2016).

    Gradients stay the same. Memory falls to the activations of one block and what passes between the blocks; a step
    takes about a third longer.
    """
    for block in blocks_of(network):
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def compile_network(network: nn.Module) -> None:
    """Compiles a network in place; but not the discriminator, which is differentiated twice."""
    if not isinstance(network, Discriminator):
        network.compile()
