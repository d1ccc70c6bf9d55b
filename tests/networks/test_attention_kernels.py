"""Every way of attending with a position bias against the definition, values and gradients; and the choice."""

import pytest
import torch

from generatect.networks import attention_kernels
from generatect.networks.attention_kernels import attend, attend_by_slices, attend_densely, attend_recomputing
from generatect.networks.position_bias import ContinuousPositionBias, RelativeBias

SCALE = 3.0


def inputs(grid=(5, 2, 3), dtype=torch.float64):
    torch.manual_seed(0)
    num = grid[0] * grid[1] * grid[2]
    q, k, v = torch.randn(3, 2, 4, num, 8, dtype=dtype)
    blocks = ContinuousPositionBias(num_axes=3, heads=4, hidden=6).to(dtype)(grid).blocks.detach() * 10
    return [x.requires_grad_() for x in (q, k, v, blocks)]


def definition(q, k, v, blocks):
    """Softmax over logits written out, the bias looked up pair by pair."""
    places, last = blocks.shape[1], blocks.shape[2] // 2
    token = torch.arange(q.shape[2])
    offset = token[None] // places - token[:, None] // places + last
    bias = blocks[:, (token % places)[:, None], offset, (token % places)[None]]
    weights = (SCALE * torch.einsum("bhid,bhjd->bhij", q, k) + bias).softmax(-1)
    return torch.einsum("bhij,bhjd->bhid", weights, v)


@pytest.mark.parametrize("way", [attend_densely, attend_by_slices, attend_recomputing])
@pytest.mark.parametrize("grid", [(5, 2, 3), (1, 2, 2), (4, 1, 1)])
def test_values_and_gradients_are_those_of_the_definition(way, grid):
    *qkv, blocks = inputs(grid)
    out, expected = way(*qkv, RelativeBias(blocks), SCALE), definition(*qkv, blocks)
    torch.testing.assert_close(out, expected)
    direction = torch.randn_like(out)
    gradients = torch.autograd.grad(out, (*qkv, blocks), direction)
    for actual, direct in zip(gradients, torch.autograd.grad(expected, (*qkv, blocks), direction), strict=True):
        torch.testing.assert_close(actual, direct)


def test_recomputing_keeps_nothing_of_the_size_of_every_pair():
    *qkv, blocks = inputs((8, 4, 4), torch.float32)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        attend_recomputing(*qkv, RelativeBias(blocks), SCALE).sum().backward()
    assert max(sizes) < 4 * 128**2


def test_a_larger_bias_than_allowed_is_never_made(monkeypatch):
    *qkv, blocks = inputs()
    whole = attend(*qkv, RelativeBias(blocks.detach()), scale=SCALE)
    bias = RelativeBias(blocks.detach(), max_dense_bytes=RelativeBias(blocks).dense_bytes - 1)
    torch.testing.assert_close(attend(*qkv, bias, scale=SCALE), whole)
    assert "dense" not in bias.__dict__
    monkeypatch.setattr(attention_kernels, "MAX_LEARNING_DENSE_BYTES", 0)
    learning = RelativeBias(blocks)
    torch.testing.assert_close(attend(*qkv, learning, scale=SCALE), whole)
    assert "dense" not in learning.__dict__


def test_half_precision_follows_autocast(monkeypatch):
    monkeypatch.setattr(attention_kernels, "MAX_LEARNING_DENSE_BYTES", 0)
    *qkv, blocks = inputs(dtype=torch.float32)
    full = attend(*qkv, RelativeBias(blocks), scale=SCALE)
    with torch.autocast("cpu", torch.bfloat16):
        half = attend(*qkv, RelativeBias(blocks), scale=SCALE)
    assert half.dtype == torch.bfloat16
    half.float().sum().backward()
    assert all(x.grad.isfinite().all() and x.grad.dtype == torch.float32 for x in (*qkv, blocks))
    torch.testing.assert_close(half.float(), full, atol=0.1, rtol=0.1)
