"""Small trainable convolutions between a text encoder and cross-attention."""

from typing import Any

from einops import rearrange
from torch import nn
from torch.nn import functional as F

from generatect.errors import InputError
from generatect.text.features import TextFeatures


class ConvTextAdapter(nn.Module):
    """Lets each token know its neighbours, so that "no" is bound to the finding it denies.

    Cross-attention has no positions: without this, "no effusion, nodule" and "no nodule, effusion" are the same set of
    words. Two convolutions of width 9 reach eight tokens to either side.

    Args:
        width_in: width of the encoder's features.
        width: width of the result.
        num_layers: residual convolutions.
        kernel: odd width of each.

    Raises:
        InputError: an even kernel.
    """

    def __init__(self, *, width_in: int, width: int, num_layers: int = 2, kernel: int = 9) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(
                f"text_encoder.adapter.kernel={kernel}; expected an odd number, so that a token sits in its middle"
            )
        self.width_in = width_in
        self.width = width
        self.kernel = kernel
        self.project = nn.Linear(width_in, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(num_layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in range(num_layers)
        )
        self.final_norm = nn.LayerNorm(width)

    def describe(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {
            "width_in": self.width_in,
            "width": self.width,
            "num_layers": len(self.convolutions),
            "kernel": self.kernel,
        }

    def forward(self, text: TextFeatures) -> TextFeatures:
        """Features "b l width" of the same mask; padded positions stay exactly 0."""
        present = text.mask[..., None]
        hidden = self.project(text.features)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            # a norm's offset would leak from the padding into the last words: what follows them must be 0
            normed = rearrange(norm(hidden) * present, "b l d -> b d l")
            hidden = hidden + F.gelu(rearrange(convolution(normed), "b d l -> b l d"))
        return TextFeatures(self.final_norm(hidden) * present, text.mask)
