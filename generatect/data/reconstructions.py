"""What the frozen tokenizer makes of volumes: the low-resolution slices that super-resolution will meet, cached."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.networks.ctvit import CTViT


class Reconstructions:
    """Reconstructions in [-1, 1], kept as float16 [z h w] and keyed as `VolumeTokens` are.

    Args:
        inputs: the pairs on the preset's grid.
        tokenizer: the frozen CT-ViT, on the device where it shall run.
        tokenizer_sha256: hash of its file.
        cache: where the reconstructions are kept.
    """

    def __init__(self, inputs: ModelInputs, tokenizer: CTViT, tokenizer_sha256: str, cache: ArrayCache) -> None:
        self.inputs, self.tokenizer, self.tokenizer_sha256, self.cache = inputs, tokenizer, tokenizer_sha256, cache

    def __contains__(self, index: int) -> bool:
        """Whether a volume need not be reconstructed any more."""
        return self.key(index) in self.cache

    def slices(self, index: int, z_indices: Sequence[int]) -> Float[Tensor, "n h w"]:
        """Slices of a reconstruction, which alone are read; made where it is not there or damaged."""
        planes = self.cache.planes(self.key(index), partial(self.make, index), z_indices)
        return torch.from_numpy(planes.astype(np.float32))

    def keep(self, index: int) -> None:
        """Reconstructs a volume and puts it into the cache."""
        self.cache.put(self.key(index), self.make(index))

    def make(self, index: int) -> Float16[np.ndarray, "z h w"]:
        """The reconstruction of a volume, computed."""
        device = self.tokenizer.quantizer.codebook.device
        with torch.inference_mode():
            volume = self.tokenizer(self.inputs.volume(index)[None].to(device)).reconstruction
        return volume[0, 0].cpu().numpy().astype(np.float16)

    def key(self, index: int) -> tuple[str, ...]:
        """Key of a volume's reconstruction in the cache."""
        return ("reconstruction", self.tokenizer_sha256, *self.inputs.key(index))
