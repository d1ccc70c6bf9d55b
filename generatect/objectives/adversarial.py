"""Hinge GAN: its two losses, the gradient penalty and the weight that balances it against the perceptual loss.

Arithmetic of spec §1, "Losses". Networks come as arguments.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


class DiscriminatorLoss(NamedTuple):
    """What one discriminator step minimises, and its two parts."""

    loss: Float[Tensor, ""]
    hinge: Float[Tensor, ""]
    gradient_penalty: Float[Tensor, ""]


def hinge_discriminator_loss(real: Float[Tensor, " b"], fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """mean(relu(1 - real) + relu(1 + fake)) of logits (Lim & Ye 2017, "Geometric GAN", eq. 20)."""
    return (F.relu(1 - real) + F.relu(1 + fake)).mean()


def hinge_generator_loss(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """-mean(fake): the generator raises the discriminator's logits without bound."""
    return -fake.mean()


def gradient_penalty(
    logits: Float[Tensor, " b"], images: Float[Tensor, "b c y x"], weight: float = 10.0
) -> Float[Tensor, ""]:
    """Weight · mean((‖∂ Σ logits / ∂ image‖₂ - 1)²), the norm per sample over all pixels, on the real images.

    Args:
        logits: discriminator logits of `images`, still attached to their graph.
        images: leaf that required its gradient when `logits` were computed.
        weight: 10 in the paper (Gulrajani et al. 2017, eq. 3) and in the release.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    norm = gradient.to(torch.promote_types(gradient.dtype, torch.float32)).flatten(1).norm(dim=1)
    return weight * (norm - 1).square().mean()


def discriminator_loss(
    discriminator: Callable[[Tensor], Tensor],
    real: Float[Tensor, "b c y x"],
    fake: Float[Tensor, "b c y x"],
    *,
    gradient_penalty_weight: float = 10.0,
) -> DiscriminatorLoss:
    """Hinge loss plus gradient penalty of one discriminator step.

    Neither image passes a gradient on: the tokenizer is not trained by this loss.

    Args:
        discriminator: "b c y x" → logits " b", differentiable twice.
        real: slices of the true volumes, [-1, 1].
        fake: the same slices of the reconstructions.
        gradient_penalty_weight: 0 leaves the penalty and its second backward pass out.
    """
    use_penalty = gradient_penalty_weight > 0
    real = real.detach().requires_grad_(use_penalty)
    real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
    hinge = hinge_discriminator_loss(real_logits, fake_logits)
    penalty = gradient_penalty(real_logits, real, gradient_penalty_weight) if use_penalty else torch.zeros_like(hinge)
    return DiscriminatorLoss(hinge + penalty, hinge.detach(), penalty.detach())


def adaptive_weight(
    perceptual_loss: Float[Tensor, ""],
    generator_loss: Float[Tensor, ""],
    last_weight: Float[Tensor, "..."],
    *,
    through: Float[Tensor, "..."] | None = None,
    average: Callable[[Tensor], Tensor] | None = None,
    max_weight: float = 1e4,
    epsilon: float = 1e-8,
) -> Float[Tensor, ""]:
    """Weight of the generator loss: ‖∇perceptual‖ / (‖∇gan‖ + ε) at `last_weight`, at most `max_weight`, detached.

    Both losses then push the last decoder layer equally hard, whatever their scales (Esser et al. 2021, "Taming
    Transformers", eq. 7). Both graphs are kept for the backward pass that follows.

    Args:
        perceptual_loss: the reference.
        generator_loss: to be weighted.
        last_weight: of the last decoder layer.
        through: what both losses see of `last_weight`, in fp32. The gradients pass it at a scale of 1, so that none
            vanishes in a decoder of half precision.
        average: of a gradient over the processes that share a batch.
        max_weight: largest weight.
        epsilon: keeps a vanished gradient from dividing.
    """

    def norm(loss: Tensor) -> Tensor:
        if through is None:
            (gradient,) = torch.autograd.grad(loss, last_weight, retain_graph=True)
        else:
            (upper,) = torch.autograd.grad(loss, through, retain_graph=True)
            scale = upper.abs().amax().clamp(min=torch.finfo(upper.dtype).tiny)
            (lower,) = torch.autograd.grad(through, last_weight, upper / scale, retain_graph=True)
            gradient = lower.float() * scale
        return (gradient if average is None else average(gradient)).float().norm()

    return (norm(perceptual_loss) / (norm(generator_loss) + epsilon)).clamp(max=max_weight).detach()
