"""The continuous position bias against its definition, pair by pair."""

import math

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
    bias = model(grid).dense
    torch.testing.assert_close(bias, expected)

    weights = torch.randn_like(bias)
    actual_gradients = torch.autograd.grad((bias * weights).sum(), model.parameters())
    expected_gradients = torch.autograd.grad((expected * weights).sum(), model.parameters())
    for actual, direct in zip(actual_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(actual, direct, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("grid", [(4,), (3, 5), (2, 3, 4)])
def test_a_slice_of_queries_is_a_view_of_the_blocks(grid):
    bias = ContinuousPositionBias(num_axes=len(grid), heads=3, hidden=8)(grid)
    rows = [bias.of_slice(index) for index in range(grid[0])]
    assert torch.equal(torch.cat(rows, dim=1), bias.dense)
    assert all(row.untyped_storage().data_ptr() == bias.blocks.untyped_storage().data_ptr() for row in rows)
    assert bias.dense_bytes == bias.dense.numel() * 4


def test_the_mlp_sees_each_offset_once():
    model = ContinuousPositionBias(num_axes=3, heads=2, hidden=4)
    assert model.offset_table((101, 8, 8)).shape == (2, 201, 15, 15)


def test_the_hidden_layer_at_published_size_is_a_thousandth_of_one_per_pair(record_effect):
    grid, hidden = (101, 8, 8), 64
    with torch.device("meta"):
        model = ContinuousPositionBias(num_axes=3, heads=8, hidden=hidden)
    sizes = []
    model.net[2].register_forward_hook(lambda module, args, out: sizes.append(out.numel() * out.element_size()))
    model.offset_table(grid)
    per_pair = math.prod(grid) ** 2 * hidden * 4
    what = "position bias of every pair"
    record_effect(what, "hidden layer at 101 × 8 × 8 tokens, per pair", f"{per_pair / 1e9:.1f} GB")
    record_effect(what, "the same per distinct offset", f"{sizes[0] / 1e6:.1f} MB")
    assert sizes == [math.prod(2 * size - 1 for size in grid) * hidden * 4]
    assert sizes[0] < per_pair / 900


def test_agrees_with_the_released_code(load_recording, released_maskgit, assert_relative):
    recording = load_recording("maskgit")
    bias = released_maskgit(recording).position_bias(recording.config["patch_shape"])
    assert_relative(bias.dense, recording.expected("out.position_bias"))
