"""Volumes as tokens: encoded once by the frozen tokenizer, cached in shards."""

import hashlib
from collections.abc import Callable

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
    ranks: tuple[int, int] = (0, 1),
    wait_for_others: Callable[[], None] = lambda: None,
) -> Int[np.ndarray, "n t h w"]:
    """Tokens of the volumes `indices`, as int32 codebook rows.

    A shard is keyed by the tokenizer and by everything its volumes depend on, so a changed file or tokenizer is encoded
    again and an interrupted run goes on where it stopped. Of several processes each encodes its part and, after
    `wait_for_others`, reads the rest.

    Args:
        inputs: the pairs on the preset's grid.
        indices: which pairs.
        tokenizer: the frozen CT-ViT.
        tokenizer_sha256: hash of its file.
        cache: where the shards are kept.
        batch_size: volumes encoded at a time.
        device: where to encode.
        ranks: this process's place, and the number of processes.
        wait_for_others: returns once all processes have called it.
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

    def get(shard: list[int]) -> np.ndarray:
        return cache.get(key(shard), lambda: encode(shard))

    rank, num_ranks = ranks
    missing = [shard for shard in shards if key(shard) not in cache]
    if missing and rank == 0:
        print(f"{sum(map(len, missing))} of {len(indices)} volumes to encode, once, into {cache.folder}")
    own = shards[rank::num_ranks]
    for shard in track(own, description=f"Tokens of {len(indices)} volumes", transient=True, disable=rank > 0):
        get(shard)
    wait_for_others()
    return np.concatenate([get(shard) for shard in shards])
