"""Samplers: from noise to a clean image, given a denoiser.

A denoiser maps noisy images and their log-SNR to an estimate of the clean ones; a noise source returns standard normal
images, new ones at each call.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from generatect.diffusion.schedule import alpha_sigma, posterior

Denoiser = Callable[[Tensor, Tensor], Tensor]  # ("b c y x", " b") → "b c y x"
NoiseSource = Callable[[], Tensor]  # () → "b c y x"
Sampler = Callable[[Denoiser, Tensor, NoiseSource], Tensor]  # (denoise, log_snrs " k", noise) → "b c y x"


def ancestral(denoise: Denoiser, log_snrs: Float[Tensor, " k"], noise: NoiseSource) -> Float[Tensor, "b c y x"]:
    """Draws each step from the posterior q(x_next | x_t, x0) of the estimate (Ho et al. 2020, algorithm 2).

    Args:
        denoise: the denoiser.
        log_snrs: increasing, from pure noise to clean; one more than steps.
        noise: called for the start and then for each step but the last, whose mean is the result.
    """
    x = noise()
    num_steps = len(log_snrs) - 1
    for step in range(num_steps):
        now, following = log_snrs[step].expand(len(x)), log_snrs[step + 1].expand(len(x))
        mean, log_variance = posterior(x, denoise(x, now), now, following)
        x = mean if step == num_steps - 1 else mean + (log_variance / 2).exp().reshape(-1, 1, 1, 1) * noise()
    return x


def ddim(denoise: Denoiser, log_snrs: Float[Tensor, " k"], noise: NoiseSource) -> Float[Tensor, "b c y x"]:
    """Follows the probability-flow ODE by re-noising the estimate with the noise it implies (Song et al. 2021, eq. 12).

    The same start always gives the same image; few steps suffice.

    Args:
        denoise: the denoiser.
        log_snrs: increasing, from pure noise to clean; one more than steps. The result is the last estimate.
        noise: called once.
    """
    x = noise()
    estimate = x
    alphas, sigmas = alpha_sigma(log_snrs)
    for step in range(len(log_snrs) - 1):
        estimate = denoise(x, log_snrs[step].expand(len(x)))
        implied_noise = (x - alphas[step] * estimate) / sigmas[step]
        x = alphas[step + 1] * estimate + sigmas[step + 1] * implied_noise
    return estimate


def dpmpp(denoise: Denoiser, log_snrs: Float[Tensor, " k"], noise: NoiseSource) -> Float[Tensor, "b c y x"]:
    """DPM-Solver++(2M): the same ODE to second order, for one evaluation a step (Lu et al. 2022, algorithm 2).

    The estimate of a step is extended along the line through it and the one before. The first step is DDIM's.

    Args:
        denoise: the denoiser.
        log_snrs: increasing, from pure noise to clean; one more than steps. The result is the last estimate.
        noise: called once.
    """
    x = noise()
    estimate = x
    alphas, sigmas = alpha_sigma(log_snrs)
    widths = log_snrs.diff() / 2  # in λ = log(α / σ), half of the log-SNR
    for step, width in enumerate(widths):
        previous, estimate = estimate, denoise(x, log_snrs[step].expand(len(x)))
        direction = estimate
        if step > 0:
            direction = estimate + width / (2 * widths[step - 1]) * (estimate - previous)
        x = sigmas[step + 1] / sigmas[step] * x - alphas[step + 1] * torch.expm1(-width) * direction
    return estimate


SAMPLERS: dict[str, Sampler] = {"ancestral": ancestral, "ddim": ddim, "dpmpp": dpmpp}


def sampling_times(num_steps: int) -> Float[Tensor, " k"]:
    """Times from 1 (pure noise) to 0, evenly spaced, one more than steps."""
    return torch.linspace(1, 0, num_steps + 1)
