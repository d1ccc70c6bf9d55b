"""The gated feed-forward against its formula: neither the zeros that fill it up nor chunks of tokens show."""

import pytest
import torch
import torch.nn.functional as F

from generatect.networks import transformer
from generatect.networks.transformer import FeedForward


def formula(network, tokens):
    hidden = F.layer_norm(tokens, tokens.shape[-1:], network.norm.weight, network.norm.bias)
    value, gate = (hidden @ network.to_hidden.weight.T).chunk(2, dim=-1)
    return (value * F.gelu(gate)) @ network.to_out.weight.T


@pytest.mark.parametrize("dim", [8, 14, 48])
def test_values_and_gradients(dim, monkeypatch):
    torch.manual_seed(0)
    network, tokens = FeedForward(dim=dim).double(), torch.randn(2, 3, 4, dim, dtype=torch.float64)
    expected = formula(network, tokens)
    torch.testing.assert_close(network(tokens), expected)
    gradients = torch.autograd.grad(network(tokens).square().sum(), network.parameters())
    for actual, direct in zip(
        gradients, torch.autograd.grad(expected.square().sum(), network.parameters()), strict=True
    ):
        torch.testing.assert_close(actual, direct)
    monkeypatch.setattr(transformer, "_TOKENS_PER_CHUNK", 5)
    with torch.no_grad():
        torch.testing.assert_close(network(tokens), expected)
