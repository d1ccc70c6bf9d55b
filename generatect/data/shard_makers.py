"""What each stage's shards hold of a volume.

`load` reads (in a worker process, without the tokenizer), `items` finishes (where the tokenizer is). What `prepare` or
an earlier training has left in the cache is taken from there; nothing is put into it, for an archive may be larger than
the disk.
"""

import math
from contextlib import suppress
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int16

from generatect.ct.volume import CTVolume
from generatect.data.cache import ArrayCache, CacheError
from generatect.data.inputs import ModelInputs, to_model_range
from generatect.data.preparation_steps import ReadsScans
from generatect.data.reconstructions import Reconstructions
from generatect.data.shard_item import pack_item
from generatect.data.tokens import VolumeTokens
from generatect.networks.ctvit import CTViT

Arrays = dict[str, np.ndarray]


@runtime_checkable
class ItemMaker(Protocol):
    """Makes the items of one stage.

    Attributes:
        inputs: the pairs on the preset's grids.
        items_per_volume: how many a volume has.
        bytes_per_volume: what its arrays take.
    """

    inputs: ModelInputs
    items_per_volume: int
    bytes_per_volume: int

    def load(self, index: int) -> Arrays:
        """What has to be read of a volume."""
        ...

    def items(self, index: int, loaded: Arrays) -> list[bytes]:
        """The items of a volume."""
        ...


class VolumeItems:
    """Stages `ctvit` and `ctnet`: one item a volume, int16 HU [z y x] and, where the source has them, labels [k].

    Args:
        inputs: the pairs on the preset's grid.
        with_labels: whether labels are kept.
    """

    items_per_volume = 1

    def __init__(self, inputs: ModelInputs, with_labels: bool = False) -> None:
        self.inputs, self.with_labels = inputs, with_labels
        self.bytes_per_volume = 2 * math.prod(inputs.preset.grid.shape_zyx)

    def load(self, index: int) -> Arrays:
        """The volume."""
        return {"hu": read_hu(self.inputs, index)}

    def items(self, index: int, loaded: Arrays) -> list[bytes]:
        """The volume with labels, text and name."""
        arrays = {**loaded, **(_labels_of(self.inputs, index) if self.with_labels else {})}
        return [pack_item(arrays, texts_of(self.inputs, index))]


class TokenItems:
    """Stage `transformer`: one item a volume, its tokens [t h w] and, where the source has them, labels [k].

    Args:
        inputs: the pairs on the preset's grid.
        tokenizer: the frozen CT-ViT, on the device where it shall encode.
        tokenizer_sha256: hash of its file.
        token_cache: where tokens may be already.
        with_labels: whether labels are kept.
    """

    items_per_volume = 1

    def __init__(
        self,
        inputs: ModelInputs,
        tokenizer: CTViT,
        tokenizer_sha256: str,
        token_cache: ArrayCache,
        with_labels: bool,
    ) -> None:
        self.inputs, self.tokenizer, self.with_labels = inputs, tokenizer, with_labels
        self.known = VolumeTokens(inputs, tokenizer, tokenizer_sha256, token_cache)
        tokens = math.prod(tokenizer.token_grid(inputs.preset.grid.shape_zyx[0]))
        self.bytes_per_volume = tokens * np.dtype(self.known.dtype).itemsize

    def load(self, index: int) -> Arrays:
        """The tokens, or the volume where there are none yet."""
        if index in self.known:
            with suppress(CacheError):  # damaged
                return {"ids": self.known.cache.read(self.known.key(index))}
        return {"hu": read_hu(self.inputs, index)}

    def items(self, index: int, loaded: Arrays) -> list[bytes]:
        """The tokens with labels, text and name."""
        arrays = dict(loaded)
        if "hu" in arrays:
            with torch.inference_mode():
                tokens = self.tokenizer.tokenize(_as_batch(arrays.pop("hu"), self.tokenizer))
            arrays["ids"] = tokens[0].cpu().numpy().astype(self.known.dtype)
        if self.with_labels:
            arrays |= _labels_of(self.inputs, index)
        return [pack_item(arrays, texts_of(self.inputs, index))]


class SliceItems:
    """Stage `superres`: one item a slice, at both resolutions in HU and as the tokenizer reconstructs it.

    A slice, not a volume, so that training reads 0.6 MB for a random slice and not the 120 MB around it.

    Args:
        inputs: the pairs on the preset's grids.
        tokenizer: the frozen CT-ViT, on the device where it shall reconstruct.
        tokenizer_sha256: hash of its file.
    """

    def __init__(self, inputs: ModelInputs, tokenizer: CTViT, tokenizer_sha256: str) -> None:
        self.inputs, self.tokenizer = inputs, tokenizer
        cache = inputs.cache
        self.known = Reconstructions(inputs, tokenizer, tokenizer_sha256, cache) if cache is not None else None
        coarse, fine = inputs.preset.grid.shape_zyx, inputs.preset.upscaled_grid.shape_zyx
        self.items_per_volume = fine[0]
        self.bytes_per_volume = 2 * (2 * math.prod(coarse) + math.prod(fine))

    def load(self, index: int) -> Arrays:
        """Both resolutions, and the reconstruction where there is one."""
        volume = None
        if isinstance(self.inputs.pairs, ReadsScans) and not self.inputs.is_cached(index, upscaled=True):
            volume = self.inputs.pairs.read(index)[0]  # once for both resolutions
        arrays = {
            "lowres": read_hu(self.inputs, index, volume=volume),
            "highres": read_hu(self.inputs, index, upscaled=True, volume=volume),
        }
        if self.known is not None and index in self.known:
            with suppress(CacheError):  # damaged
                arrays["reconstruction"] = self.known.cache.read(self.known.key(index))
        return arrays

    def items(self, index: int, loaded: Arrays) -> list[bytes]:
        """The slices, from the lowest, each with text and name."""
        arrays, texts = dict(loaded), texts_of(self.inputs, index)
        if "reconstruction" not in arrays:
            with torch.inference_mode():
                volume = self.tokenizer(_as_batch(arrays["lowres"], self.tokenizer)).reconstruction
            arrays["reconstruction"] = volume[0, 0].cpu().numpy().astype(np.float16)
        return [
            pack_item({name: array[z] for name, array in arrays.items()}, texts) for z in range(self.items_per_volume)
        ]


def read_hu(
    inputs: ModelInputs, index: int, upscaled: bool = False, volume: CTVolume | None = None
) -> Int16[np.ndarray, "z y x"]:
    """A volume on a grid in HU: from the cache where it is there, else computed and not kept.

    Args:
        inputs: the pairs on the preset's grids.
        index: which pair.
        upscaled: on the upscaled grid.
        volume: the pair's CT, where it has been read already.
    """
    if inputs.cache is not None and inputs.is_cached(index, upscaled):
        with suppress(CacheError):  # damaged
            return inputs.cache.read(inputs.array_key(index, upscaled))
    return inputs.make(index, upscaled, volume)


def texts_of(inputs: ModelInputs, index: int) -> dict[str, str]:
    """Text and name of a pair."""
    return {"text": inputs.pairs.text(index), "name": inputs.pairs.name(index)}


def _labels_of(inputs: ModelInputs, index: int) -> Arrays:
    labels = inputs.pairs.labels(index)
    return {"labels": np.array(list(labels.values()), dtype=np.uint8)} if labels else {}


def _as_batch(hu: np.ndarray, tokenizer: CTViT) -> torch.Tensor:
    return to_model_range(hu)[None, None].to(tokenizer.quantizer.codebook.device)
