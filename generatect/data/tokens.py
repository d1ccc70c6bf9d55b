"""Volumes as tokens: encoded once by the frozen tokenizer, cached."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Integer

from generatect.data.bad_volumes import BadVolumes
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.networks.ctvit import CTViT


class VolumeTokens:
    """Tokens of volumes as codebook rows, uint16 where the codebook has no more than 65,536 of them.

    Each volume has an entry of its own. In shards of many, a volume that is added, left out or moved to the other side
    of the split would change every shard behind it, and all of them would be encoded again.

    An entry is keyed by the tokenizer and by everything its volume depends on, so a changed file or tokenizer is
    encoded again and an interrupted run goes on where it stopped.

    Args:
        inputs: the pairs on the preset's grid.
        tokenizer: the frozen CT-ViT, on the device where it shall encode.
        tokenizer_sha256: hash of its file.
        cache: where the tokens are kept.
    """

    def __init__(self, inputs: ModelInputs, tokenizer: CTViT, tokenizer_sha256: str, cache: ArrayCache) -> None:
        self.inputs, self.tokenizer, self.tokenizer_sha256, self.cache = inputs, tokenizer, tokenizer_sha256, cache
        self.dtype = np.uint16 if tokenizer.quantizer.num_codes <= 1 << 16 else np.int32

    def __contains__(self, index: int) -> bool:
        """Whether the tokens of a volume need not be encoded any more."""
        return self.key(index) in self.cache

    def read(self, index: int) -> Integer[np.ndarray, "t h w"]:
        """Tokens of a volume; encoded where they are not there or damaged."""
        return self.cache.get(self.key(index), partial(self._encode_one, index))

    def encode(self, indices: Sequence[int], batch_size: int, bad: BadVolumes) -> Iterator[int]:
        """Encodes volumes and keeps their tokens; yields each index when it is done or left out."""
        for start in range(0, len(indices), batch_size):
            batch, volumes = list(indices[start : start + batch_size]), []
            for index in batch:
                with bad.leaving_out(index):
                    volumes.append(self.inputs.volume(index))
            readable = [index for index in batch if index not in bad.reasons]
            if readable:
                for index, tokens in zip(readable, self._encode(torch.stack(volumes)), strict=True):
                    self.cache.put(self.key(index), tokens)
            yield from batch

    def key(self, index: int) -> tuple[str, ...]:
        """Key of a volume's tokens in the cache."""
        return ("tokens", self.tokenizer_sha256, *self.inputs.key(index))

    def _encode_one(self, index: int) -> np.ndarray:
        return self._encode(self.inputs.volume(index)[None])[0]

    def _encode(self, volumes: torch.Tensor) -> np.ndarray:
        device = self.tokenizer.quantizer.codebook.device
        with torch.inference_mode():
            return self.tokenizer.tokenize(volumes.to(device)).cpu().numpy().astype(self.dtype)
