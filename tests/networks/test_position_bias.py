"""The continuous position bias against its definition, pair by pair."""

import pytest
import torch

from generatect.networks.position_bias import ContinuousPositionBias


@pytest.mark.parametrize("grid", [(4,), (3, 5), (2, 3, 4), (1, 3, 2)])
def test_every_pair_has_the_bias_of_its_offset(grid):
    torch.manual_seed(0)
    model = ContinuousPositionBias(num_axes=len(grid), heads=3, hidden=8)
    positions = torch.cartesian_prod(*map(torch.arange, grid)).view(-1, len(grid))
    offsets = (positions[:, None] - positions[None, :]).float()
    expected = model.net(offsets.sign() * (offsets.abs() + 1).log()).permute(2, 0, 1)
    bias = model(grid)
    torch.testing.assert_close(bias, expected)

    weights = torch.randn_like(bias)
    actual_gradients = torch.autograd.grad((bias * weights).sum(), model.parameters())
    expected_gradients = torch.autograd.grad((expected * weights).sum(), model.parameters())
    for actual, direct in zip(actual_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(actual, direct, rtol=1e-4, atol=1e-4)


def test_the_mlp_sees_each_offset_once():
    model = ContinuousPositionBias(num_axes=3, heads=2, hidden=4)
    assert model.offset_table((101, 8, 8)).shape == (2, 201, 15, 15)


def test_agrees_with_the_released_code(load_recording, released_maskgit, assert_relative):
    recording = load_recording("maskgit")
    assert_relative(released_maskgit(recording).position_bias((5, 4, 4)), recording.tensors["out.position_bias"])
