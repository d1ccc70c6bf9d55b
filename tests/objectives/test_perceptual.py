"""The perceptual loss and its slices."""

import pytest
import torch

from generatect.errors import InputError
from generatect.objectives.perceptual import draw_slices, perceptual_mse, take_slices


def test_slices_are_those_of_the_index():
    volume = torch.randn(3, 2, 5, 4, 4)
    slices = take_slices(volume, torch.tensor([4, 0, 2]))
    assert torch.equal(slices, torch.stack([volume[0, :, 4], volume[1, :, 0], volume[2, :, 2]]))


def test_every_slice_is_drawn_and_a_seed_repeats():
    draws = draw_slices(200, 5, torch.Generator().manual_seed(0))
    assert set(draws.tolist()) == set(range(5))
    assert torch.equal(draws, draw_slices(200, 5, torch.Generator().manual_seed(0)))


def test_grey_images_have_three_channels_and_only_the_fake_has_a_gradient():
    real, fake = (torch.randn(2, 1, 4, 4, requires_grad=True) for _ in range(2))
    loss = perceptual_mse(lambda images: images * torch.tensor([1.0, 2.0, 3.0])[:, None, None], real, fake)
    torch.testing.assert_close(loss, (real - fake).square().mean() * (1 + 4 + 9) / 3)
    loss.backward()
    assert real.grad is None
    assert fake.grad is not None


def test_equal_images_have_no_loss():
    images = torch.randn(2, 3, 4, 4)
    assert perceptual_mse(lambda x: x.flatten(1), images, images) == 0


def test_two_channels_are_refused():
    with pytest.raises(InputError, match="2 channels"):
        perceptual_mse(lambda x: x, torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
