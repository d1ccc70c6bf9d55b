"""Forgetting activations and compiling: settled from outside, and no other result."""

import copy

import pytest
import torch
from torch import nn

from generatect.networks.ctvit import CTViT
from generatect.networks.unet import SuperResUNet
from generatect.stages.activations import compile_network, forget_activations
from generatect.stages.sharding import blocks_of

SIZES = {"image_size": 16, "patch_size": 8, "slice_patch_size": 2, "spatial_depth": 2, "temporal_depth": 2}


def ctvit() -> tuple[nn.Module, tuple]:
    return CTViT(dim=16, codebook_size=8, dim_head=8, heads=2, **SIZES), (torch.rand(2, 1, 5, 16, 16),)


def unet() -> tuple[nn.Module, tuple]:
    sizes = {"max_text_tokens": 8, "num_text_latents": 2, "heads": 1, "dim_head": 8, "text_width": 4}
    network = SuperResUNet(dim=8, dim_mults=[1, 2], num_blocks=1, cross_attention=[False, True], **sizes)
    nn.init.normal_(network.last_convolution.weight)  # zero at first, and then no gradient would pass it
    images, numbers = torch.rand(2, 1, 16, 16), torch.rand(2)
    return network, (images, numbers, images, numbers, torch.rand(2, 3, 4))


def saved_bytes(network: nn.Module, inputs: tuple) -> int:
    """What the forward pass keeps for the backward pass, weights apart."""
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(*inputs)
    del output
    return sum(kept.values())


@pytest.mark.parametrize("make", [ctvit, unet])
def test_gradients_stay_and_memory_falls(make):
    torch.manual_seed(0)
    network, inputs = make()
    forgetful = copy.deepcopy(network)
    forget_activations(forgetful)
    assert blocks_of(network)
    assert forgetful.state_dict().keys() == network.state_dict().keys()
    gradients = []
    for one in (network, forgetful):
        output = one(*inputs)
        (output if isinstance(output, torch.Tensor) else output.reconstruction).square().sum().backward()
        gradients.append([p.grad for p in one.parameters()])
    assert all(torch.equal(p, q) for p, q in zip(*gradients, strict=True) if p is not None)
    assert saved_bytes(forgetful, inputs) < 0.5 * saved_bytes(network, inputs)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_compiling_renames_nothing():
    network, _ = unet()
    before = list(network.state_dict())
    compile_network(network)
    assert list(network.state_dict()) == before
    assert [name for name, _ in network.named_parameters()] == before
