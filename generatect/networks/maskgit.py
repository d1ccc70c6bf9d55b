"""MaskGIT: text-conditional prediction of masked tokens (arXiv:2202.04200; GenerateCT §3.2; spec §2)."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from generatect.networks.compat import Compat
from generatect.networks.position_bias import MAX_DENSE_BYTES, ContinuousPositionBias
from generatect.networks.prepared import Prepared, twice
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

    Attributes:
        max_dense_bytes: of the position bias, see `RelativeBias`; lower it where memory is short.
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
        self.max_dense_bytes = MAX_DENSE_BYTES
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
        tokens = self.embed(ids)
        context, mask = visible_text(tokens, self.text_width, text_features, text_mask, drop_text)
        bias = self.position_bias(ids.shape[1:], self.max_dense_bytes)
        return self.to_logits(self.transformer(tokens, bias, self.transformer.read(context, mask)))

    def embed(self, ids: Int[Tensor, "b t h w"]) -> Float[Tensor, "b t h w d"]:
        """Embedded tokens, which learn at a tenth of the gradient."""
        tokens = self.embedding(ids)
        return tokens * GRADIENT_SHRINK + tokens.detach() * (1 - GRADIENT_SHRINK)  # steadies training (CogView)

    def prepare(
        self,
        token_grid: Sequence[int],
        text_features: Float[Tensor, "b l c"],
        text_mask: Bool[Tensor, "b l"],
        *,
        guided: bool,
    ) -> Prepared:
        """The network for all steps of a generation: position bias and text are read once.

        Args:
            token_grid: (t, h, w) of all ids to come.
            text_features: features of the reports.
            text_mask: true where there is text.
            guided: whether the pass without text is wanted, too.
        """
        contexts = self.transformer.read(*twice(text_features, text_mask, guided=guided))
        bias = self.position_bias(token_grid, self.max_dense_bytes)
        return Prepared(lambda ids: self.transformer(self.embed(ids), bias, contexts), self.to_logits)


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
