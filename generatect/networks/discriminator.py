"""The discriminator of the tokenizer's hinge GAN: a strided residual network over single slices (spec §1)."""

import math

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from generatect.errors import InputError
from generatect.networks.attention import SelfAttention
from generatect.networks.compat import Compat

LEAK = 0.1


class DiscriminatorStage(nn.Module):
    """Two 3×3 convolutions beside a 1×1 one, both halving the resolution unless told not to; the sum over √2."""

    def __init__(self, width_in: int, width_out: int, *, halve: bool) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(width_in, width_out, 1, stride=2 if halve else 1)
        self.body = nn.Sequential(
            nn.Conv2d(width_in, width_out, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(width_out, width_out, 3, padding=1),
            nn.LeakyReLU(LEAK),
        )
        self.halve = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * width_out, width_out, 1)) if halve else None

    def forward(self, images: Float[Tensor, "b c y x"]) -> Float[Tensor, "b d y2 x2"]:
        """Features at half the resolution, or at the same one in the last stage."""
        hidden = self.body(images)
        if self.halve is not None:
            hidden = self.halve(hidden)
        return (hidden + self.shortcut(images)) / math.sqrt(2)


class Discriminator(nn.Module):
    """Logit per slice, high = real.

    Widths are min(4·dim·2^i, max_dim) over ⌊log₂(image_size)⌋ - 1 stages; 20.7 million parameters at 128² and dim 16.

    Args:
        image_size: pixels along a side, at least 8 and even until 4..7 are left: 48, 64, 96, 128, …
        channels: channels of a slice.
        dim: a quarter of the first stage's width.
        max_dim: largest width.
        attention_resolutions: self-attention follows each stage whose *input* has this many pixels along a side.
        heads: attention heads.
        dim_head: width of a head.
        compat: "released" takes keys and values from un-normed features (quirk 2).

    Raises:
        InputError: a size that cannot be halved so often, or an attention resolution that no stage has.
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: int = 1,
        dim: int = 16,
        max_dim: int = 512,
        attention_resolutions: list[int] | tuple[int, ...] = (16,),
        heads: int = 8,
        dim_head: int = 64,
        compat: Compat = "mended",
    ) -> None:
        super().__init__()
        num_stages = image_size.bit_length() - 2  # ⌊log₂⌋ - 1
        if image_size < 8 or image_size % 2 ** (num_stages - 1):
            raise InputError(
                f"discriminator: image_size={image_size}; expected at least 8 and 4 to 7 times a power of two"
            )
        resolutions = [image_size // 2**i for i in range(num_stages)]
        absent = sorted(set(attention_resolutions) - set(resolutions))
        if absent:
            raise InputError(f"discriminator: attention_resolutions has {absent[0]}; the stages see {resolutions}")

        widths = [channels, *(min(4 * dim * 2**i, max_dim) for i in range(num_stages))]
        self.stages = nn.ModuleList(
            DiscriminatorStage(widths[i], widths[i + 1], halve=i < num_stages - 1) for i in range(num_stages)
        )
        self.attentions = nn.ModuleDict(
            {
                str(i): SelfAttention(dim=widths[i + 1], heads=heads, dim_head=dim_head, compat=compat)
                for i, resolution in enumerate(resolutions)
                if resolution in attention_resolutions
            }
        )
        self.to_logit = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Flatten(),
            nn.Linear(widths[-1] * resolutions[-1] ** 2, 1),
        )

    def forward(self, images: Float[Tensor, "b c y x"]) -> Float[Tensor, " b"]:
        """Judge slices in [-1, 1]."""
        hidden = images
        for index, stage in enumerate(self.stages):
            hidden = stage(hidden)
            if str(index) in self.attentions:
                hidden = hidden + self._attend(self.attentions[str(index)], hidden)
        return rearrange(self.to_logit(hidden), "b 1 -> b")

    @staticmethod
    def _attend(attention: nn.Module, hidden: Tensor) -> Tensor:
        tokens = rearrange(hidden, "b d y x -> b (y x) d")
        with sdpa_kernel(SDPBackend.MATH):  # the gradient penalty differentiates twice; no fused kernel can
            attended = attention(tokens)
        return rearrange(attended, "b (y x) d -> b d y x", y=hidden.shape[2])
