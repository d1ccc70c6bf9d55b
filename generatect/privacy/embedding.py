"""What is compared of two volumes: features of the tokenizer's encoder."""

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool3d, normalize

from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.networks.ctvit import CTViT
from generatect.privacy.alignment import centred

WIDTH = 1024
"""Numbers kept of a volume."""
COARSE = 48
"""Voxels along an axis, at most, of the volumes whose grey values are compared."""
VERSION = "1"
"""Raise it when features come out otherwise."""


class TokenizerEmbedding:
    """Features of CT-ViT's encoder at every token.

    Every volume, real or generated, passes through the tokenizer first. A generated one has been decoded from tokens
    and shows it; a real one would be far from it for that alone, even if it were its original. The features of all
    tokens, each of length 1, are one long vector; a count sketch (Charikar, Chen & Farach-Colton 2002; Weinberger et
    al. 2009, eq. 3) shortens it: distances stay what they are, but for a spread of √(1 / (2·WIDTH)), 2 %.

    Args:
        tokenizer: frozen, on the device where it shall run.
        preset: its grid.
        sha256: hash of its file.
        weights: what the user called it.

    Attributes:
        name: what it is, for people.
        identity: everything that the features depend on beside the volume.
    """

    def __init__(self, tokenizer: CTViT, preset: Preset, sha256: str, weights: str) -> None:
        self.tokenizer, self.preset = tokenizer, preset
        self.name = f"tokenizer of {weights}"
        self.identity = f"{VERSION} {sha256} {preset.name} {preset.grid}"

    def prepared(self, volume: CTVolume) -> Float[Tensor, "1 z y x"]:
        """A volume on the preset's grid, laid upon the others."""
        return centred(self.preset.to_model(volume))

    @torch.inference_mode()
    def of(
        self, volumes: Float[Tensor, "b 1 z y x"]
    ) -> tuple[Float32[Tensor, "b d"], UInt8[Tensor, "b depth rows columns"]]:
        """Features, and grey values 0 to 255, of prepared volumes."""
        device = self.tokenizer.quantizer.codebook.device
        seen = self.tokenizer(volumes.to(device)).reconstruction.clamp(-1, 1)
        tokens = normalize(self.tokenizer.encode(seen), dim=-1).flatten(1).cpu()
        coarse = adaptive_avg_pool3d(seen, [min(size, COARSE) for size in seen.shape[2:]])[:, 0]
        return sketch(tokens), ((coarse + 1) * 127.5).round().to(torch.uint8).cpu()


def sketch(vectors: Float[Tensor, "b n"], width: int = WIDTH) -> Float32[Tensor, "b d"]:
    """Signed sums of a vector's entries, each in a place and with a sign that are drawn once and for all."""
    draws = torch.Generator().manual_seed(0)
    place = torch.randint(width, vectors.shape[1:], generator=draws)
    sign = torch.randint(2, vectors.shape[1:], generator=draws) * 2.0 - 1
    return torch.zeros(len(vectors), width).index_add_(1, place, vectors.float() * sign)
