"""MaskGIT: text-conditional prediction of masked tokens (arXiv:2202.04200; GenerateCT §3.2; spec §2)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from generatect.networks.compat import Compat
from generatect.networks.position_bias import ContinuousPositionBias
from generatect.networks.token_embedding import TokenEmbedding
from generatect.networks.transformer import Transformer

GRADIENT_SHRINK = 0.1


class MaskGIT(nn.Module):
    """Bidirectional transformer over a token grid, reading the report by cross-attention.

    Args:
        num_tokens: number of codes; the id `num_tokens` stands for "masked" (`mask_id`).
        max_tokens: tokens of the largest grid, t·h·w.
        dim: width of the tokens.
        depth: number of layers.
        heads: number of attention heads.
        dim_head: width of a head, and of the position bias's hidden layers.
        text_width: width of the text features.
        compat: "released" for the published weights, see `generatect.networks.compat`.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        max_tokens: int,
        dim: int,
        depth: int,
        heads: int,
        dim_head: int,
        text_width: int,
        compat: Compat = "mended",
    ) -> None:
        super().__init__()
        self.mask_id = num_tokens
        self.text_width = text_width
        self.embedding = TokenEmbedding(num_tokens=num_tokens, max_tokens=max_tokens, dim=dim)
        self.position_bias = ContinuousPositionBias(num_axes=3, heads=heads, hidden=dim_head)
        self.transformer = Transformer(
            dim=dim,
            depth=depth,
            heads=heads,
            dim_head=dim_head,
            axes="t h w",
            causal=False,
            context_width=text_width,
            compat=compat,
        )
        self.to_logits = nn.Linear(dim, num_tokens)

    def forward(
        self,
        ids: Int[Tensor, "b t h w"],
        text_features: Float[Tensor, "b l c"] | None = None,
        text_mask: Bool[Tensor, "b l"] | None = None,
        drop_text: Bool[Tensor, "b"] | None = None,
    ) -> Float[Tensor, "b t h w v"]:
        """Logits of every token.

        Args:
            ids: tokens in 0..num_tokens, the last being the mask.
            text_features: features of the report; None: unconditional.
            text_mask: true where there is text; None: everywhere.
            drop_text: true for items that shall not see their text.

        Raises:
            InputError: the grid holds more than `max_tokens` tokens.
        """
        tokens = self.embedding(ids)
        tokens = tokens * GRADIENT_SHRINK + tokens.detach() * (1 - GRADIENT_SHRINK)  # steadies training (CogView)
        context, context_mask = visible_text(tokens, self.text_width, text_features, text_mask, drop_text)
        return self.to_logits(self.transformer(tokens, self.position_bias(ids.shape[1:]), context, context_mask))


def visible_text(
    tokens: Float[Tensor, "b t h w d"],
    text_width: int,
    text_features: Float[Tensor, "b l c"] | None,
    text_mask: Bool[Tensor, "b l"] | None,
    drop_text: Bool[Tensor, "b"] | None,
) -> tuple[Float[Tensor, "b l c"], Bool[Tensor, "b l"]]:
    """Context and mask of cross-attention; no text is a context of length 0, dropped text one that is wholly masked."""
    if text_features is None:
        text_features, text_mask = tokens.new_zeros(len(tokens), 0, text_width), None
    visible = text_features.new_ones(text_features.shape[:2], dtype=torch.bool) if text_mask is None else text_mask
    return text_features, visible if drop_text is None else visible & ~drop_text[:, None]
