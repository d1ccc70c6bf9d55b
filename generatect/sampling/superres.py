"""Super-resolution of slices and of whole volumes."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from generatect.diffusion.process import SuperResProcess
from generatect.diffusion.schedule import add_noise, x0_from_velocity
from generatect.errors import InputError
from generatect.sampling.diffusion import SAMPLERS, NoiseSource, sampling_times
from generatect.sampling.guidance import guided


@runtime_checkable
class SuperResNetwork(Protocol):
    """A network that predicts velocities, and takes its text encoded beforehand."""

    def __call__(
        self, noisy: Tensor, log_snr: Tensor, lowres: Tensor, lowres_log_snr: Tensor, *, text_condition: Any
    ) -> Tensor:
        """Predicted velocity "b c y x"."""
        ...

    def encode_text(self, text_features: Tensor, text_mask: Tensor | None, drop_text: Tensor | None) -> Any:
        """Condition that serves the same number of images for each text, in a row."""
        ...


@torch.no_grad()
def upscale_slices(
    network: SuperResNetwork,
    process: SuperResProcess,
    lowres: Float[Tensor, "b c h w"],
    text_features: Float[Tensor, "t l d"] | None = None,
    text_mask: Bool[Tensor, "t l"] | None = None,
    *,
    noise: NoiseSource,
    upscaled_size: int,
    num_steps: int = 25,
    guidance: float = 1.0,
    sampler: str = "ancestral",
) -> Float[Tensor, "b c y x"]:
    """High-resolution slices in [-1, 1].

    Args:
        network: predicts velocities.
        process: what it was trained with.
        lowres: low-resolution slices in [-1, 1], not clipped.
        text_features: of t texts, each for b / t slices in a row; None: no text.
        text_mask: True at real tokens; None: all are.
        noise: returns standard normal images "b c y x"; called first for the low-resolution slices.
        upscaled_size: pixels of a side of the result.
        num_steps: network evaluations, or pairs of them.
        guidance: scale of classifier-free guidance; 1 costs no unconditional evaluation.
        sampler: `ancestral` (the original's), `ddim` or `dpmpp`.

    Raises:
        InputError: unknown sampler, no steps, or guidance without a text.
    """
    text = _encode(network, text_features, text_mask, guidance)
    return _refine(network, process, lowres, text, noise, upscaled_size, num_steps, guidance, sampler)


def _refine(
    network: SuperResNetwork,
    process: SuperResProcess,
    lowres: Tensor,
    text: Any,
    noise: NoiseSource,
    upscaled_size: int,
    num_steps: int,
    guidance: float,
    sampler: str,
) -> Tensor:
    if sampler not in SAMPLERS:
        raise InputError(f"sampler={sampler!r}: choose one of {', '.join(SAMPLERS)}")
    if num_steps < 1:
        raise InputError(f"num_steps={num_steps}: expected at least 1")

    upsampled = process.upsample(lowres.float(), (upscaled_size, upscaled_size))
    lowres_times = torch.full((len(lowres),), process.lowres_sample_time, device=lowres.device)
    lowres_log_snr = process.lowres_log_snr(lowres_times)
    noised_lowres = add_noise(upsampled, noise(), lowres_log_snr)

    def predict(x: Tensor, log_snr: Tensor) -> Tensor:
        if guidance == 1:
            return network(x, log_snr, noised_lowres, lowres_log_snr, text_condition=text).float()
        twice = (torch.cat([part, part]) for part in (x, log_snr, noised_lowres, lowres_log_snr))
        conditional, unconditional = network(*twice, text_condition=text).float().chunk(2)
        return guided(conditional, unconditional, guidance)

    def denoise(x: Tensor, log_snr: Tensor) -> Tensor:
        return process.limit(x0_from_velocity(x, predict(x, log_snr), log_snr), upsampled)

    log_snrs = process.log_snr(sampling_times(num_steps)).to(lowres.device)
    x0 = SAMPLERS[sampler](denoise, log_snrs, noise)
    return process.to_images(x0, upsampled).clamp(-1, 1)


@torch.no_grad()
def upscale_volume(
    network: SuperResNetwork,
    process: SuperResProcess,
    lowres: Float[Tensor, "c z h w"],
    text_features: Float[Tensor, "1 l d"] | None = None,
    text_mask: Bool[Tensor, "1 l"] | None = None,
    *,
    generator: torch.Generator,
    upscaled_size: int,
    num_steps: int = 25,
    guidance: float = 1.0,
    sampler: str = "ancestral",
    slices_per_batch: int = 8,
    correlated_noise: bool = False,
    fixed_shapes: bool = False,
    on_slices: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "c z y x"]:
    """High-resolution volume in [-1, 1], slice by slice.

    Every slice has a seed of its own, so that the same generator gives the same volume whatever `slices_per_batch`.

    Args:
        network: predicts velocities.
        process: what it was trained with.
        lowres: low-resolution volume in [-1, 1], not clipped.
        text_features: of the text; None: no text.
        text_mask: True at real tokens; None: all are.
        generator: CPU generator of the slices' seeds.
        upscaled_size: pixels of a slice's side in the result.
        num_steps: network evaluations for each slice, or pairs of them.
        guidance: scale of classifier-free guidance; 1 costs no unconditional evaluation.
        sampler: `ancestral` (the original's), `ddim` or `dpmpp`.
        slices_per_batch: slices that the network sees at once.
        correlated_noise: all slices share one noise, so that neighbours agree and details do not flicker along z.
        fixed_shapes: fill up the last batch, so that a compiled network is compiled once.
        on_slices: called after each batch with the number of slices done and of all.

    Raises:
        InputError: unknown sampler, no steps, no slices in a batch, or guidance without a text.
    """
    if slices_per_batch < 1:
        raise InputError(f"slices_per_batch={slices_per_batch}: expected at least 1")
    channels, num_slices = lowres.shape[:2]
    seeds = torch.randint(2**63 - 1, (num_slices,), generator=generator).tolist()
    upscaled = lowres.new_empty(channels, num_slices, upscaled_size, upscaled_size, dtype=torch.float32)
    text = _encode(network, text_features, text_mask, guidance)  # once for all slices and steps
    slices_per_batch = min(slices_per_batch, num_slices)
    for first in range(0, num_slices, slices_per_batch):
        last = min(first + slices_per_batch, num_slices)
        begin = max(0, last - slices_per_batch) if fixed_shapes else first
        noise = SliceNoise(
            seeds=seeds[:1] if correlated_noise else seeds[begin:last],
            shape=(last - begin, channels, upscaled_size, upscaled_size),
            device=lowres.device,
        )
        slices = lowres[:, begin:last].transpose(0, 1)
        refined = _refine(network, process, slices, text, noise, upscaled_size, num_steps, guidance, sampler)
        upscaled[:, begin:last] = refined.transpose(0, 1)
        if on_slices is not None:
            on_slices(last, num_slices)
    return upscaled


class SliceNoise:
    """Standard normal images drawn in fp32 on the CPU from one seed for each; a single seed serves all images alike."""

    def __init__(self, *, seeds: list[int], shape: tuple[int, int, int, int], device: torch.device) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.shape, self.device = shape, device

    def __call__(self) -> Float[Tensor, "b c y x"]:
        """The next image of every slice."""
        images = [torch.randn(self.shape[1:], generator=generator) for generator in self.generators]
        return torch.stack(images).to(self.device).expand(self.shape)


def _encode(network: SuperResNetwork, features: Tensor | None, mask: Tensor | None, guidance: float) -> Any:
    """The texts' condition, followed under guidance by that of as many withheld texts."""
    if features is None:
        if guidance != 1:
            raise InputError(f"guidance={guidance}: needs a text to follow; use guidance=1 without one")
        return None
    if guidance == 1:
        return network.encode_text(features, mask, None)
    drop = torch.arange(2 * len(features), device=features.device) >= len(features)
    return network.encode_text(torch.cat([features] * 2), None if mask is None else torch.cat([mask] * 2), drop)
