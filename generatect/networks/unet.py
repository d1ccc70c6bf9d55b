"""The super-resolution U-Net: text-conditional, over single slices, cheap at full resolution (spec §3).

It down-samples at the start of a level and up-samples at its end ("Efficient U-Net"), so that only one block at each
end works on every pixel.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from generatect.errors import InputError
from generatect.networks.unet_blocks import CrossAttention, MultiScaleConvolution, ResidualBlock
from generatect.networks.unet_condition import NoiseLevel, TextCondition, TextSummary
from generatect.networks.unet_levels import DownLevel, UpLevel


class SuperResUNet(nn.Module):
    """Predicts the velocity of a noisy slice from its low-resolution version and a text.

    Args:
        dim: channels at full resolution and width of the condition tokens; a multiple of 8.
        dim_mults: channels of each level, finest first, in units of `dim`.
        num_blocks: gated blocks of each level.
        text_width: of the text features.
        max_text_tokens: longer texts are cut; at most 512.
        num_text_latents: text tokens are four more than these.
        heads: attention heads of resampler and levels.
        dim_head: width of each.
        cross_attention: for each level, whether its pixels attend to the condition tokens; the middle always does.
        channels: of a slice.
        middle_heads: attention heads of the middle.
        middle_dim_head: width of each.

    Raises:
        InputError: settings that do not fit together.
    """

    def __init__(
        self,
        *,
        dim: int,
        dim_mults: list[int],
        num_blocks: int,
        text_width: int,
        max_text_tokens: int,
        num_text_latents: int,
        heads: int,
        dim_head: int,
        cross_attention: list[bool],
        channels: int = 1,
        middle_heads: int = 8,
        middle_dim_head: int = 64,
    ) -> None:
        super().__init__()
        if dim % 8:
            raise InputError(f"dim={dim}: expected a multiple of 8, the groups of a group norm")
        if len(cross_attention) != len(dim_mults):
            raise InputError(f"cross_attention={cross_attention}: expected {len(dim_mults)} flags, one for each level")
        self.num_levels = len(dim_mults)
        vector_width = 8 * dim

        def attention(width: int, heads: int, dim_head: int) -> CrossAttention:
            return CrossAttention(width=width, token_width=dim, heads=heads, dim_head=dim_head)

        self.noise_level = NoiseLevel(width=vector_width, token_width=dim)
        self.lowres_noise_level = NoiseLevel(width=vector_width, token_width=dim)
        self.text = TextSummary(
            text_width=text_width,
            max_tokens=max_text_tokens,
            width=vector_width,
            token_width=dim,
            num_latents=num_text_latents,
            heads=heads,
            dim_head=dim_head,
        )
        self.condition_norm = nn.LayerNorm(dim)

        self.first_convolution = MultiScaleConvolution(width_in=2 * channels, width=dim)
        self.first_block = ResidualBlock(width_in=dim, width=dim, vector_width=vector_width, gated=True)
        widths = [dim * mult for mult in dim_mults]
        levels = list(zip([dim, *widths], widths, cross_attention, strict=False))  # from finest to coarsest
        self.down = nn.ModuleList(
            DownLevel(
                width_in=outer,
                width=width,
                vector_width=vector_width,
                num_gated=num_blocks,
                attention=attention(width, heads, dim_head) if attends else None,
            )
            for outer, width, attends in levels
        )
        self.middle = nn.ModuleList(
            ResidualBlock(
                width_in=widths[-1],
                width=widths[-1],
                vector_width=vector_width,
                attention=attention(widths[-1], middle_heads, middle_dim_head),
            )
            for _ in range(2)
        )
        self.up = nn.ModuleList(
            UpLevel(
                width=width,
                width_out=outer,
                vector_width=vector_width,
                num_gated=num_blocks,
                attention=attention(width, heads, dim_head) if attends else None,
            )
            for outer, width, attends in reversed(levels)
        )
        self.last_block = ResidualBlock(width_in=dim, width=dim, vector_width=vector_width, gated=True)
        self.last_convolution = nn.Conv2d(dim + channels, channels, 3, padding=1)
        nn.init.zeros_(self.last_convolution.weight)
        nn.init.zeros_(self.last_convolution.bias)  # type: ignore[arg-type]

    def to_precision(self, dtype: torch.dtype) -> "SuperResUNet":
        """Computes in half precision, or again in fp32; for sampling, not for training.

        Noise levels stay in fp32, as their phases would lose all meaning; inputs are cast, the output is fp32.
        """
        self.to(dtype)
        self.noise_level.float()
        self.lowres_noise_level.float()
        return self

    def encode_text(
        self,
        text_features: Float[Tensor, "b l d"],
        text_mask: Bool[Tensor, "b l"] | None = None,
        drop_text: Bool[Tensor, " b"] | None = None,
    ) -> TextCondition:
        """All that the network takes from texts, for reuse over the slices and steps of a volume.

        Args:
            text_features: of each text.
            text_mask: True at real tokens; None: all are.
            drop_text: True where the text is to be ignored; None: nowhere.
        """
        mask = text_features.new_ones(text_features.shape[:2], dtype=torch.bool) if text_mask is None else text_mask
        drop = mask.new_zeros(len(mask)) if drop_text is None else drop_text
        return self.text(text_features.to(self.last_convolution.weight.dtype), mask, drop)

    def forward(
        self,
        noisy: Float[Tensor, "b c y x"],
        log_snr: Float[Tensor, " b"],
        lowres: Float[Tensor, "b c y x"],
        lowres_log_snr: Float[Tensor, " b"],
        text_features: Float[Tensor, "b l d"] | None = None,
        text_mask: Bool[Tensor, "b l"] | None = None,
        drop_text: Bool[Tensor, " b"] | None = None,
        text_condition: TextCondition | None = None,
    ) -> Float[Tensor, "b c y x"]:
        """Predicted velocity.

        Args:
            noisy: noisy slices.
            log_snr: of `noisy`.
            lowres: low-resolution slices, resized to the same pixels and noised.
            lowres_log_snr: of `lowres`.
            text_features: of each slice's text; None: no text.
            text_mask: True at real tokens; None: all are.
            drop_text: True where the text is to be ignored; None: nowhere.
            text_condition: result of `encode_text`, in place of the three above; each text serves the same number of
                slices, in a row.

        Raises:
            InputError: a slice whose sides are not multiples of 2^levels.
        """
        self._check_size(noisy)
        if text_condition is None:
            text_condition = (
                self.text.without_text()
                if text_features is None
                else self.encode_text(text_features, text_mask, drop_text)
            )
        vector, tokens = self._condition(log_snr, lowres_log_snr, text_condition.spread(len(noisy)))

        # Channels last in memory from here on: what convolutions like best, on a CPU as on a GPU.
        images = torch.cat([noisy, lowres], dim=1).to(
            self.last_convolution.weight.dtype, memory_format=torch.channels_last
        )
        x = self.first_convolution(images)
        x = self.first_block(x, vector, tokens)
        skips = []
        for down in self.down:
            x, left = down(x, vector, tokens)
            skips.append(left)
        for block in self.middle:
            x = block(x, vector, tokens)
        for up in self.up:
            x = up(x, skips.pop(), vector, tokens)
        x = self.last_block(x, vector, tokens)
        return self.last_convolution(torch.cat([x, images[:, noisy.shape[1] :]], dim=1)).to(noisy.dtype)

    def _condition(self, log_snr: Tensor, lowres_log_snr: Tensor, text: TextCondition) -> tuple[Tensor, Tensor]:
        dtype = self.last_convolution.weight.dtype
        vector, tokens = self.noise_level(log_snr)
        lowres_vector, lowres_tokens = self.lowres_noise_level(lowres_log_snr)
        tokens = self.condition_norm(torch.cat([tokens.to(dtype), lowres_tokens.to(dtype), text.tokens], dim=1))
        return (vector + lowres_vector).to(dtype) + text.vector, tokens

    def _check_size(self, slices: Tensor) -> None:
        multiple = 2**self.num_levels
        height, width = slices.shape[-2:]
        if height % multiple or width % multiple:
            raise InputError(
                f"slice of {height}×{width}: the U-Net has {self.num_levels} levels and halves the size at each; "
                f"both sides must be multiples of {multiple}"
            )
