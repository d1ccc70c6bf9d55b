"""Adversarial losses against closed forms; parity with the recording is in tests/networks/test_discriminator.py."""

import torch

from generatect.objectives.adversarial import (
    adaptive_weight,
    discriminator_loss,
    gradient_penalty,
    hinge_discriminator_loss,
    hinge_generator_loss,
)


def test_hinge_losses_of_known_logits():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    assert hinge_discriminator_loss(real, fake) == (0 + 0.5 + 0 + 2) / 2
    assert hinge_generator_loss(fake) == 1


def test_gradient_penalty_of_a_linear_network():
    direction = torch.randn(1, 4, 4)
    images = torch.randn(3, 1, 4, 4, requires_grad=True)
    penalty = gradient_penalty((images * direction).sum((1, 2, 3)), images, weight=10.0)
    torch.testing.assert_close(penalty, 10 * (direction.norm() - 1) ** 2)


def test_gradient_penalty_trains_the_network_towards_norm_one():
    weight = torch.full((1, 2, 2), 2.0, requires_grad=True)  # norm 4; d penalty / d weight = 2·10·(4 - 1)·weight/4
    images = torch.randn(2, 1, 2, 2, requires_grad=True)
    gradient_penalty((images * weight).sum((1, 2, 3)), images).backward()
    torch.testing.assert_close(weight.grad, torch.full((1, 2, 2), 30.0))


def test_a_discriminator_step_reaches_no_image():
    real, fake = (torch.randn(2, 1, 4, 4, requires_grad=True) for _ in range(2))
    weight = torch.randn(16, requires_grad=True)
    result = discriminator_loss(lambda images: images.flatten(1) @ weight, real, fake)
    result.loss.backward()
    assert weight.grad is not None
    assert real.grad is None
    assert fake.grad is None
    torch.testing.assert_close(result.loss.detach(), result.hinge + result.gradient_penalty)


def test_without_a_penalty_the_loss_is_the_hinge():
    result = discriminator_loss(
        lambda images: images.flatten(1).sum(1),
        torch.randn(2, 1, 4, 4),
        torch.randn(2, 1, 4, 4),
        gradient_penalty_weight=0.0,
    )
    assert result.loss == result.hinge
    assert result.gradient_penalty == 0


def test_adaptive_weight_balances_the_gradients():
    weight = torch.randn(3, requires_grad=True)
    perceptual, adversarial = (weight * 6).sum(), (weight * 2).sum()
    balance = adaptive_weight(perceptual, adversarial, weight)
    torch.testing.assert_close(balance, torch.tensor(3.0))
    assert not balance.requires_grad
    (perceptual + balance * adversarial).backward()  # the graphs are still there
    torch.testing.assert_close(weight.grad, torch.full((3,), 12.0))


def test_adaptive_weight_is_bounded():
    weight = torch.randn(3, requires_grad=True)
    assert adaptive_weight(weight.sum(), (weight * 0).sum(), weight) == 1e4
