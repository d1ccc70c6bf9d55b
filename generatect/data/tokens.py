"""Volumes as tokens: encoded once by the frozen tokenizer, cached in shards."""

import hashlib

import numpy as np
import torch
from jaxtyping import Int
from rich.progress import track

from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.networks.ctvit import CTViT

# Volumes a file: few files for a large archive, little lost when encoding is interrupted.
SHARD = 128


def encode_tokens(
    inputs: ModelInputs,
    indices: list[int],
    tokenizer: CTViT,
    tokenizer_sha256: str,
    cache: ArrayCache,
    batch_size: int = 16,
    device: str | torch.device = "cpu",
) -> Int[np.ndarray, "n t h w"]:
    """Tokens of the volumes `indices`, as int32 codebook rows.

    A shard is keyed by the tokenizer and by everything its volumes depend on, so a changed file or tokenizer is encoded
    again and an interrupted run goes on where it stopped.
    """
    shards = [indices[start : start + SHARD] for start in range(0, len(indices), SHARD)]
    tokenizer = tokenizer.to(device)

    def encode(shard: list[int]) -> np.ndarray:
        batches = [shard[start : start + batch_size] for start in range(0, len(shard), batch_size)]
        with torch.inference_mode():
            tokens = [tokenizer.tokenize(torch.stack([inputs.volume(i) for i in b]).to(device)) for b in batches]
        return torch.cat(tokens).cpu().numpy().astype(np.int32)

    def key(shard: list[int]) -> tuple[str, ...]:
        content = "\0".join(part for index in shard for part in inputs.key(index))
        return "tokens", tokenizer_sha256, hashlib.sha256(content.encode()).hexdigest()

    steps = track(shards, description=f"Tokens of {len(indices)} volumes", transient=True)
    return np.concatenate([cache.get(key(shard), lambda shard=shard: encode(shard)) for shard in steps])
