"""Discrete tokens with their absolute positions."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from generatect.errors import InputError


class TokenEmbedding(nn.Module):
    """Learned embeddings of `num_tokens` ids and one mask id, plus one of each position in the flat order `(t h w)`.

    Args:
        num_tokens: number of codes; the mask id is `num_tokens` itself.
        max_tokens: length of the longest sequence.
        dim: width of a token.
    """

    def __init__(self, *, num_tokens: int, max_tokens: int, dim: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(num_tokens + 1, dim)
        self.positions = nn.Embedding(max_tokens, dim)

    def forward(self, ids: Int[Tensor, "b t h w"]) -> Float[Tensor, "b t h w d"]:
        """Embed a grid.

        Raises:
            InputError: the grid holds more than `max_tokens` tokens.
        """
        num_tokens = ids[0].numel()
        if num_tokens > self.positions.num_embeddings:
            raise InputError(
                f"token grid {tuple(ids.shape[1:])} holds {num_tokens} tokens; expected at most max_tokens "
                f"{self.positions.num_embeddings}: ask for fewer slices, or train with a larger max_tokens"
            )
        _, _, h, w = ids.shape
        positions = self.positions(torch.arange(num_tokens, device=ids.device))
        return self.tokens(ids) + rearrange(positions, "(t h w) d -> t h w d", h=h, w=w)
