"""Self-attention in its two forms; values and gradients of both are in tests/objectives/test_gradients.py."""

import pytest
import torch
import torch.nn.functional as F

from generatect.networks.attention import SelfAttention


@torch.no_grad()
@pytest.mark.parametrize("already_normed", [True, False])
def test_quirk_2_is_the_missing_norm_of_keys_and_values_and_nothing_else(already_normed):
    """Where the norm has nothing left to do, both forms agree."""
    torch.manual_seed(0)
    released = SelfAttention(dim=16, heads=2, dim_head=8, compat="released")
    mended = SelfAttention(dim=16, heads=2, dim_head=8)
    mended.load_state_dict(released.state_dict())
    tokens = torch.randn(3, 5, 16) * 2 + 1
    if already_normed:
        tokens = F.layer_norm(tokens, (16,), eps=0)
    difference = (released(tokens) - mended(tokens)).abs().max()
    assert (difference < 1e-4) == already_normed
