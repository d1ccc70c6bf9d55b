"""Token critic: which of the tokens that MaskGIT filled in look wrong (arXiv:2209.04439; spec §2)."""

from collections.abc import Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from generatect.networks.compat import Compat
from generatect.networks.maskgit import visible_text
from generatect.networks.prepared import Prepared, twice
from generatect.networks.token_embedding import TokenEmbedding
from generatect.networks.transformer import Transformer


class TokenCritic(nn.Module):
    """MaskGIT's transformer with one logit per token and no position bias. Args are those of `MaskGIT`."""

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
        self.text_width = text_width
        self.embedding = TokenEmbedding(num_tokens=num_tokens, max_tokens=max_tokens, dim=dim)
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
        self.to_logits = nn.Linear(dim, 1)

    def forward(
        self,
        ids: Int[Tensor, "b t h w"],
        text_features: Float[Tensor, "b l c"] | None = None,
        text_mask: Bool[Tensor, "b l"] | None = None,
        drop_text: Bool[Tensor, "b"] | None = None,
    ) -> Float[Tensor, "b t h w"]:
        """Logit of "this token is wrong" for every token. Args are those of `MaskGIT.forward`, with no id masked."""
        tokens = self.embedding(ids)
        context, mask = visible_text(tokens, self.text_width, text_features, text_mask, drop_text)
        return self._to_score(self.transformer(tokens, None, self.transformer.read(context, mask)))

    def prepare(
        self,
        token_grid: Sequence[int],
        text_features: Float[Tensor, "b l c"],
        text_mask: Bool[Tensor, "b l"],
        *,
        guided: bool,
    ) -> Prepared:
        """The critic for all steps of a generation. Args are those of `MaskGIT.prepare`; the grid does not matter."""
        contexts = self.transformer.read(*twice(text_features, text_mask, guided=guided))
        return Prepared(lambda ids: self.transformer(self.embedding(ids), None, contexts), self._to_score)

    def _to_score(self, hidden: Float[Tensor, "*s d"]) -> Float[Tensor, "*s"]:
        return self.to_logits(hidden).squeeze(-1)
