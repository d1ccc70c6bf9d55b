"""Data of stage `transformer`: token grids and reports."""

import numpy as np
import torch
from torch.utils.data import Dataset

from generatect.ct.preset import Preset
from generatect.data.cache import ArrayCache
from generatect.data.module import PairsDataModule
from generatect.data.pairs import Pairs
from generatect.data.tokens import VolumeTokens
from generatect.networks.ctvit import CTViT
from generatect.progress import tracked


class TokenDataset(Dataset):
    """Items `{ids: [t h w], text, name}`, and `labels: [k]` where the source has them."""

    def __init__(self, pairs: Pairs, indices: list[int], tokens: np.ndarray) -> None:
        self.pairs, self.indices, self.tokens = pairs, indices, tokens

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        pair = self.indices[place[1]]
        ids = torch.from_numpy(self.tokens[place[1]].astype(np.int64))
        item = {"ids": ids, "text": self.pairs.text(pair), "name": self.pairs.name(pair)}
        labels = self.pairs.labels(pair)
        return item if labels is None else {**item, "labels": torch.tensor(list(labels.values()), dtype=torch.float32)}


class TransformerData(PairsDataModule):
    """Batches of tokens, encoded once by the frozen tokenizer, cached, and kept in memory.

    Args:
        tokenizer: the frozen CT-ViT.
        tokenizer_sha256: hash of its file, part of the cache's key.
        encode_batch_size: volumes encoded at a time.
        token_cache_dir: folder of the cached tokens.
        pairs, preset, batch_size, val_fraction, max_val_items, max_train_items, num_workers, cache_dir, seed, on_bad,
            skipped_file: see `PairsDataModule`.
    """

    def __init__(
        self,
        *,
        pairs: Pairs,
        preset: Preset,
        tokenizer: CTViT,
        tokenizer_sha256: str,
        token_cache_dir: str,
        encode_batch_size: int = 16,
        batch_size: int = 4,
        val_fraction: float = 0.1,
        max_val_items: int = 64,
        max_train_items: int | None = None,
        num_workers: int = 0,
        cache_dir: str | None = None,
        seed: int = 0,
        on_bad: str = "raise",
        skipped_file: str | None = None,
    ) -> None:
        super().__init__(
            pairs=pairs,
            preset=preset,
            batch_size=batch_size,
            val_fraction=val_fraction,
            max_val_items=max_val_items,
            max_train_items=max_train_items,
            num_workers=num_workers,
            cache_dir=cache_dir,
            seed=seed,
            on_bad=on_bad,
            skipped_file=skipped_file,
        )
        self.tokenizer, self.tokenizer_sha256, self.encode_batch_size = tokenizer, tokenizer_sha256, encode_batch_size
        self.token_cache = ArrayCache(token_cache_dir)

    def make_dataset(self, indices: list[int]) -> TokenDataset:
        """Tokens of the given pairs; of several processes each encodes its part and reads the rest."""
        device = self.trainer.strategy.root_device if self.trainer else "cpu"
        tokens = VolumeTokens(self.inputs, self.tokenizer.to(device), self.tokenizer_sha256, self.token_cache)
        rank, num_ranks = self.ranks
        missing = set(self.missing(indices, lambda index: index not in tokens))
        if missing and rank == 0:
            print(f"{len(missing)} of {len(indices)} volumes to encode, once, into {self.token_cache.folder}")
        own = [index for index in indices[rank::num_ranks] if index in missing]
        done = tokens.encode(own, self.encode_batch_size, self.bad)
        for _ in tracked(done, f"tokens of {len(own)} volumes", len(own), shown=rank == 0):
            pass
        self.agree_on_bad()
        usable = self.bad.usable(indices)
        return TokenDataset(self.inputs.pairs, usable, np.stack([tokens.read(index) for index in usable]))
