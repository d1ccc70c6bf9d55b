"""What of a slice is diffused, and how the low-resolution slice is resized and noised."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from generatect.diffusion.schedule import SCHEDULES
from generatect.errors import InputError

_TARGETS = ("image", "residual")
_UPSAMPLINGS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True, kw_only=True)
class SuperResProcess:
    """The choices that training and sampling of a super-resolution model must share.

    The defaults are for new models: x0 is the residual between a slice and its interpolated low-resolution version, in
    units of `residual_scale`, so that a network starts from interpolation instead of learning it. `released()` gives
    what the published weights expect.

    Args:
        schedule: noise of the image, `cosine` or `linear`.
        lowres_schedule: noise of the low-resolution slice that conditions the network (noise conditioning
            augmentation, Ho et al. 2022: it hides the first stage's artefacts from the second).
        lowres_sample_time: time in [0, 1] of that noise while sampling.
        lowres_max_time: training draws that time uniformly from [0, lowres_max_time].
        loss_gamma: the loss is weighted by (1 + SNR)^-gamma (Choi et al. 2022, "P2 weighting").
        target: `image`, or `residual` to the interpolated slice.
        residual_scale: one unit of the residual in model range (HU / 1000); about its standard deviation.
        upsampling: `nearest`, `bilinear` or `bicubic`.
        dynamic_threshold: quantile of |image| for dynamic thresholding (Saharia et al. 2022, §2.3), which divides an
            image that overshoots by that quantile and so shifts its HU; None clamps to [-1, 1], which keeps HU.
    """

    schedule: str = "cosine"
    lowres_schedule: str = "linear"
    lowres_sample_time: float = 0.02
    lowres_max_time: float = 0.2
    loss_gamma: float = 0.5
    target: str = "residual"
    residual_scale: float = 0.1
    upsampling: str = "bilinear"
    dynamic_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            InputError: naming the setting, its value and what was expected.
        """
        for key, allowed in (
            ("schedule", tuple(SCHEDULES)),
            ("lowres_schedule", tuple(SCHEDULES)),
            ("target", _TARGETS),
            ("upsampling", _UPSAMPLINGS),
        ):
            if getattr(self, key) not in allowed:
                raise InputError(f"{key}={getattr(self, key)!r}: choose one of {', '.join(allowed)}")
        for key in ("lowres_sample_time", "lowres_max_time", "dynamic_threshold"):
            value = getattr(self, key)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{key}={value}: expected a number from 0 to 1")
        if self.residual_scale <= 0:
            raise InputError(f"residual_scale={self.residual_scale}: expected a positive number")

    @classmethod
    def released(cls) -> "SuperResProcess":
        """The process of the published weights (spec §3)."""
        return cls(
            target="image",
            upsampling="nearest",
            lowres_sample_time=0.1,
            lowres_max_time=1.0,
            dynamic_threshold=0.95,
        )

    def log_snr(self, times: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Log-SNR of the image at `times`."""
        return SCHEDULES[self.schedule].log_snr(times)

    def lowres_log_snr(self, times: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """Log-SNR of the low-resolution slice at `times`."""
        return SCHEDULES[self.lowres_schedule].log_snr(times)

    def upsample(self, lowres: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c y x"]:
        """Low-resolution slices on the pixels of the high-resolution ones; `size` is (y, x)."""
        if self.upsampling == "nearest":
            return F.interpolate(lowres, size=size, mode="nearest")
        return F.interpolate(lowres, size=size, mode=self.upsampling, align_corners=False)

    def to_x0(self, images: Float[Tensor, "b c y x"], upsampled: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """What is diffused for `images` in [-1, 1] over their `upsampled` low-resolution slices."""
        return images if self.target == "image" else (images - upsampled) / self.residual_scale

    def to_images(self, x0: Float[Tensor, "b c y x"], upsampled: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Inverse of `to_x0`."""
        return x0 if self.target == "image" else upsampled + self.residual_scale * x0

    def limit(self, x0: Float[Tensor, "b c y x"], upsampled: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """An estimate of x0, moved to the nearest one whose image is possible.

        The range [-1, 1] is a fact about images and not about residuals, so the limit acts on the recomposed image.
        """
        images = self.to_images(x0, upsampled)
        if self.dynamic_threshold is None:
            return self.to_x0(images.clamp(-1, 1), upsampled)
        bound = torch.quantile(images.flatten(1).abs(), self.dynamic_threshold, dim=1)
        bound = bound.clamp(min=1).reshape(-1, 1, 1, 1)
        return self.to_x0(images.clamp(-bound, bound) / bound, upsampled)
