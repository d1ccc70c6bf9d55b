"""Shards behind the interfaces through which the stages' datasets read."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from generatect.ct.preset import Preset
from generatect.data.bad_volumes import BadVolumes
from generatect.data.inputs import ModelInputs, to_model_range
from generatect.data.pairs import Pairs
from generatect.data.reconstructions import Reconstructions


@runtime_checkable
class PreparedPairs(Pairs, Protocol):
    """Pairs with what the later stages read."""

    def ids(self, index: int) -> np.ndarray:
        """Tokens [t h w]."""
        ...

    def slice_of(self, index: int, z: int, name: str) -> np.ndarray:
        """A slice [y x]: "highres" or "lowres" in HU, or "reconstruction"."""
        ...


class ShardInputs(ModelInputs):
    """Volumes and slices from shards.

    Args:
        prepared: the shards.
        preset: that they were written for.
    """

    def __init__(self, prepared: PreparedPairs, preset: Preset) -> None:
        super().__init__(prepared, preset, None)
        self.prepared = prepared

    def slices(self, index: int, z_indices: Sequence[int], upscaled: bool = False) -> Float[Tensor, "n y x"]:
        """See `ModelInputs`."""
        name = "highres" if upscaled else "lowres"
        return to_model_range(np.stack([self.prepared.slice_of(index, z, name) for z in z_indices]))


class ShardReconstructions(Reconstructions):
    """Reconstructions from shards.

    Args:
        inputs: the shards' volumes.
    """

    def __init__(self, inputs: ShardInputs) -> None:
        self.shards = inputs.prepared

    def slices(self, index: int, z_indices: Sequence[int]) -> Float[Tensor, "n h w"]:
        """See `Reconstructions`."""
        planes = np.stack([self.shards.slice_of(index, z, "reconstruction") for z in z_indices])
        return torch.from_numpy(planes.astype(np.float32))


class StreamedTokens(Dataset):
    """Items as those of `TokenDataset`, read when they are asked for.

    Args:
        prepared: the shards.
        indices: which pairs.
        bad: what to do where one cannot be read.
    """

    def __init__(self, prepared: PreparedPairs, indices: list[int], bad: BadVolumes) -> None:
        self.prepared, self.indices, self.bad = prepared, indices, bad

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        return self.bad.first_readable(place[1], self.indices, self._item)

    def _item(self, pair: int) -> dict:
        shards = self.prepared
        ids = torch.from_numpy(shards.ids(pair).astype(np.int64))
        item = {"ids": ids, "text": shards.text(pair), "name": shards.name(pair)}
        labels = shards.labels(pair)
        return item if labels is None else {**item, "labels": torch.tensor(list(labels.values()), dtype=torch.float32)}
