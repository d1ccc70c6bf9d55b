"""What conditions the super-resolution U-Net: noise levels and text, each as one vector and as tokens."""

import math
from typing import NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from generatect.errors import InputError
from generatect.networks.perceiver import NUM_POSITIONS, PerceiverResampler


class NoiseLevel(nn.Module):
    """A log-SNR as a vector, which modulates blocks, and as tokens, which they attend to.

    Args:
        width: of the vector.
        token_width: of the tokens.
        num_tokens: number of tokens.
        num_frequencies: learned frequencies of the Fourier features.
    """

    def __init__(self, *, width: int, token_width: int, num_tokens: int = 2, num_frequencies: int = 8) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.frequencies = nn.Parameter(torch.randn(num_frequencies))
        self.to_hidden = nn.Linear(1 + 2 * num_frequencies, width)
        self.to_vector = nn.Linear(width, width)
        self.to_tokens = nn.Linear(width, num_tokens * token_width)

    def forward(self, log_snr: Float[Tensor, " b"]) -> tuple[Float[Tensor, "b w"], Float[Tensor, "b n d"]]:
        """Vector and tokens."""
        log_snr = rearrange(log_snr, "b -> b 1")
        phase = 2 * math.pi * log_snr * self.frequencies
        hidden = nn.functional.silu(self.to_hidden(torch.cat([log_snr, phase.sin(), phase.cos()], dim=1)))
        return self.to_vector(hidden), rearrange(self.to_tokens(hidden), "b (n d) -> b n d", n=self.num_tokens)


class TextCondition(NamedTuple):
    """Text as the U-Net uses it. It depends on nothing else, so one serves all slices and steps of a volume."""

    vector: Float[Tensor, "b w"]
    tokens: Float[Tensor, "b n d"]

    def spread(self, batch: int) -> "TextCondition":
        """For `batch` images, of which each text conditions the same number, in a row."""
        assert batch % len(self.vector) == 0, f"{len(self.vector)} texts for {batch} images"
        times = batch // len(self.vector)
        return TextCondition(*(repeat(part, "b ... -> (b times) ...", times=times) for part in self))


class TextSummary(nn.Module):
    """Text features to a vector and a few tokens, through a Perceiver resampler.

    Args:
        text_width: of the text features.
        max_tokens: longer texts are cut; at most 512.
        width: of the vector.
        token_width: of the tokens.
        num_latents: the tokens are four more than these.
        heads: attention heads of the resampler.
        dim_head: width of each.

    Raises:
        InputError: more than 512 tokens.
    """

    def __init__(
        self,
        *,
        text_width: int,
        max_tokens: int,
        width: int,
        token_width: int,
        num_latents: int,
        heads: int,
        dim_head: int,
    ) -> None:
        super().__init__()
        if max_tokens > NUM_POSITIONS:
            raise InputError(f"max_text_tokens={max_tokens}: the U-Net's text resampler takes {NUM_POSITIONS} at most")
        self.max_tokens = max_tokens
        self.project = nn.Linear(text_width, token_width)
        self.null_features = nn.Parameter(torch.randn(1, max_tokens, token_width))
        self.null_vector = nn.Parameter(torch.randn(1, width))
        self.resampler = PerceiverResampler(width=token_width, num_latents=num_latents, heads=heads, dim_head=dim_head)
        self.to_vector = nn.Sequential(
            nn.LayerNorm(token_width), nn.Linear(token_width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(
        self,
        features: Float[Tensor, "b l w"],
        mask: Bool[Tensor, "b l"],
        drop: Bool[Tensor, " b"],
    ) -> TextCondition:
        """Summary of each text; where `drop` is set, of no text."""
        features, mask = features[:, : self.max_tokens], mask[:, : self.max_tokens] & ~drop[:, None]
        padding = self.max_tokens - features.shape[1]
        projected = nn.functional.pad(self.project(features), (0, 0, 0, padding))
        mask = nn.functional.pad(mask, (0, padding))
        tokens = self.resampler(torch.where(mask[..., None], projected, self.null_features.to(projected.dtype)))
        vector = self.to_vector(tokens.mean(dim=1))
        return TextCondition(torch.where(drop[:, None], self.null_vector.to(vector.dtype), vector), tokens)

    def without_text(self) -> TextCondition:
        """Summary of no text at all, for a batch of one."""
        return TextCondition(self.null_vector, self.resampler(self.null_features))
