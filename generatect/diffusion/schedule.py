"""Continuous-time, variance-preserving diffusion told in log-SNR.

x_t = α·x0 + σ·ε with α² = sigmoid(λ), σ² = sigmoid(-λ) and λ = log(α²/σ²), so that α² + σ² = 1 by construction. A
network predicts the velocity v = α·ε - σ·x0 (Salimans & Ho 2022, "Progressive distillation"). Constants are those of
the released model (spec §3).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_COSINE_OFFSET = 0.008
_MIN_NOISE_TO_SIGNAL = 1e-5
_MIN_VARIANCE = 1e-20


class Schedule(NamedTuple):
    """How noise grows with time: `log_snr` of times in [0, 1] and `time`, its inverse."""

    log_snr: Callable[[Tensor], Tensor]
    time: Callable[[Tensor], Tensor]


def cosine_log_snr(times: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Log-SNR of the cosine schedule (Nichol & Dhariwal 2021, eq. 17) at `times` in [0, 1]."""
    angle = (times + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * (math.pi / 2)
    return -torch.log((torch.cos(angle) ** -2 - 1).clamp(min=_MIN_NOISE_TO_SIGNAL))


def cosine_time(log_snr: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Time at which the cosine schedule has `log_snr`; cos⁻² - 1 = tan² inverts in closed form."""
    angle = torch.atan(torch.exp(-log_snr / 2))
    return angle * (2 / math.pi) * (1 + _COSINE_OFFSET) - _COSINE_OFFSET


def linear_log_snr(times: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Log-SNR of the continuous limit of linearly growing β (Ho et al. 2020) at `times` in [0, 1]."""
    return -torch.log(torch.expm1(1e-4 + 10 * times**2))


def linear_time(log_snr: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Time at which the linear schedule has `log_snr`."""
    return ((torch.log1p(torch.exp(-log_snr)) - 1e-4) / 10).clamp(min=0).sqrt()


SCHEDULES = {"cosine": Schedule(cosine_log_snr, cosine_time), "linear": Schedule(linear_log_snr, linear_time)}


def alpha_sigma(log_snr: Float[Tensor, "*s"]) -> tuple[Float[Tensor, "*s"], Float[Tensor, "*s"]]:
    """Weights of signal and noise at `log_snr`."""
    return torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt()


def add_noise(
    x0: Float[Tensor, "b *s"], noise: Float[Tensor, "b *s"], log_snr: Float[Tensor, " b"]
) -> Float[Tensor, "b *s"]:
    """x_t = α·x0 + σ·ε."""
    alpha, sigma = alpha_sigma(_beside(log_snr, x0))
    return alpha * x0 + sigma * noise


def velocity(
    x0: Float[Tensor, "b *s"], noise: Float[Tensor, "b *s"], log_snr: Float[Tensor, " b"]
) -> Float[Tensor, "b *s"]:
    """What the network learns to predict, v = α·ε - σ·x0."""
    alpha, sigma = alpha_sigma(_beside(log_snr, x0))
    return alpha * noise - sigma * x0


def x0_from_velocity(
    x_t: Float[Tensor, "b *s"], v: Float[Tensor, "b *s"], log_snr: Float[Tensor, " b"]
) -> Float[Tensor, "b *s"]:
    """x0 = α·x_t - σ·v, the inverse of `add_noise` and `velocity` together."""
    alpha, sigma = alpha_sigma(_beside(log_snr, x_t))
    return alpha * x_t - sigma * v


def posterior(
    x_t: Float[Tensor, "b *s"],
    x0: Float[Tensor, "b *s"],
    log_snr: Float[Tensor, " b"],
    log_snr_next: Float[Tensor, " b"],
) -> tuple[Float[Tensor, "b *s"], Float[Tensor, " b"]]:
    """Mean and log-variance of q(x_next | x_t, x0), Kingma et al. 2021 (VDM), eqs. 32-33.

    Args:
        x_t: noisy images.
        x0: clean images, here the network's estimate.
        log_snr: of `x_t`.
        log_snr_next: of the less noisy images wanted, larger than `log_snr`.
    """
    new_share = -torch.expm1(log_snr - log_snr_next)
    alpha, _ = alpha_sigma(log_snr)
    alpha_next, sigma_next = alpha_sigma(log_snr_next)
    old, new = alpha_next * (1 - new_share) / alpha, alpha_next * new_share
    log_variance = torch.log((sigma_next**2 * new_share).clamp(min=_MIN_VARIANCE))
    return _beside(old, x_t) * x_t + _beside(new, x_t) * x0, log_variance


def _beside(per_image: Tensor, images: Tensor) -> Tensor:
    return per_image.reshape(-1, *(1 for _ in images.shape[1:]))
