"""Training objective of the super-resolution diffusion (spec §3)."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from generatect.diffusion.process import SuperResProcess
from generatect.diffusion.schedule import add_noise, velocity
from generatect.objectives.masking import draw_dropped


def superres_loss(
    network: Callable[..., Tensor],
    process: SuperResProcess,
    highres: Float[Tensor, "b c y x"],
    lowres: Float[Tensor, "b c h w"],
    text_features: Float[Tensor, "b l d"] | None = None,
    text_mask: Bool[Tensor, "b l"] | None = None,
    *,
    generator: torch.Generator,
    text_drop_prob: float = 0.1,
    times: Float[Tensor, " b"] | None = None,
    noise: Float[Tensor, "b c y x"] | None = None,
    lowres_times: Float[Tensor, " b"] | None = None,
    lowres_noise: Float[Tensor, "b c y x"] | None = None,
    drop_text: Bool[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Squared error of the predicted velocity, weighted by (1 + SNR)^-gamma.

    Args:
        network: (noisy, log_snr, lowres, lowres_log_snr, text_features, text_mask, drop_text) → velocity "b c y x".
        process: what is diffused.
        highres: slices in [-1, 1].
        lowres: the same slices at low resolution, in [-1, 1] but for what a first stage overshoots.
        text_features: of each slice's text; None: no text.
        text_mask: True at real tokens; None: all are.
        generator: CPU generator of every draw below that is not given.
        text_drop_prob: probability of withholding a slice's text.
        times: of each slice's noise, in [0, 1].
        noise: standard normal.
        lowres_times: of the noise on the low-resolution slices; drawn once for the whole batch, as in the release.
        lowres_noise: standard normal.
        drop_text: True where a slice's text is withheld.
    """
    batch, device = len(highres), highres.device

    def normal() -> Tensor:
        return torch.randn(highres.shape, generator=generator).to(device)

    if drop_text is None and text_features is not None:
        drop_text = draw_dropped(batch, text_drop_prob, generator).to(device)
    times = torch.rand(batch, generator=generator).to(device) if times is None else times
    if lowres_times is None:
        lowres_times = (torch.rand(1, generator=generator) * process.lowres_max_time).expand(batch).to(device)
    noise = normal() if noise is None else noise
    lowres_noise = normal() if lowres_noise is None else lowres_noise

    upsampled = process.upsample(lowres, (highres.shape[-2], highres.shape[-1]))
    lowres_log_snr = process.lowres_log_snr(lowres_times)
    condition = add_noise(upsampled, lowres_noise, lowres_log_snr)

    x0, log_snr = process.to_x0(highres, upsampled), process.log_snr(times)
    noisy = add_noise(x0, noise, log_snr)
    predicted = network(noisy, log_snr, condition, lowres_log_snr, text_features, text_mask, drop_text)

    error = (predicted.float() - velocity(x0, noise, log_snr)).square().flatten(1).mean(dim=1)
    return (error * (1 + log_snr.exp()) ** -process.loss_gamma).mean()
