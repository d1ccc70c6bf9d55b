"""A pair as the networks see it: on the preset's grids, in [-1, 1], read from a cache where there is one."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int16
from torch import Tensor

from generatect.ct import intensity
from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.data.cache import ArrayCache
from generatect.data.pairs import Pairs
from generatect.errors import InputError


class ModelInputs:
    """The pairs of a source through a preset.

    Cached arrays are int16 HU [z y x]: a CT has no finer values, they take half the room of float32, and single slices
    can be read.

    Args:
        pairs: source of volumes and reports.
        preset: how a volume comes onto the model's grid.
        cache: where arrays are kept; None computes them at every call.
    """

    def __init__(self, pairs: Pairs, preset: Preset, cache: ArrayCache | None) -> None:
        self.pairs, self.preset, self.cache = pairs, preset, cache
        self._keys: dict[int, tuple[str, ...]] = {}

    def volume(self, index: int) -> Float[Tensor, "1 z y x"]:
        """The volume on the preset's grid."""
        if self.cache is None:
            values = self.pairs.model_input(index, self.preset)
            self.require_unchanged(index)
            return values
        return to_model_range(self.cache.get(self.array_key(index), partial(self._made, index)))[None]

    def slices(self, index: int, z_indices: Sequence[int], upscaled: bool = False) -> Float[Tensor, "n y x"]:
        """Slices of the volume on the preset's grid or its upscaled grid; of a cached volume only these are read."""
        if self.cache is None:
            return to_model_range(self.make(index, upscaled)[list(z_indices)])
        make = partial(self._made, index, upscaled)
        return to_model_range(self.cache.planes(self.array_key(index, upscaled), make, z_indices))

    def key(self, index: int) -> tuple[str, ...]:
        """What everything made of this volume depends on; asked of the source once, as it may read the file for it.

        Raises:
            InputError: the volume's file cannot be read.
        """
        if index not in self._keys:
            preset = self.preset
            on_grids = f"{preset.name} {preset.grid} {preset.upscaled_grid} {intensity.HU_RANGE}"
            self._keys[index] = (self._content(index), on_grids)
        return self._keys[index]

    def require_unchanged(self, index: int) -> None:
        """Refuses what was read of a file that is not the one of `key` any more, which is asked anew next time.

        Raises:
            InputError: the file has changed meanwhile, or cannot be read any more.
        """
        if index in self._keys and self._content(index) != self._keys[index][0]:
            del self._keys[index]
            raise InputError(f"{self.pairs.name(index)}: the file has changed while it was in use; start again")

    def array_key(self, index: int, upscaled: bool = False) -> tuple[str, ...]:
        """Key of the volume's array in the cache."""
        return ("upscaled" if upscaled else "volume", *self.key(index))

    def is_cached(self, index: int, upscaled: bool = False) -> bool:
        """Whether the array need not be made any more."""
        return self.cache is not None and self.array_key(index, upscaled) in self.cache

    def keep(self, index: int, upscaled: bool = False, volume: CTVolume | None = None) -> None:
        """Makes the array and puts it into the cache."""
        assert self.cache is not None
        self.cache.put(self.array_key(index, upscaled), self._made(index, upscaled, volume))

    def make(self, index: int, upscaled: bool = False, volume: CTVolume | None = None) -> Int16[np.ndarray, "z y x"]:
        """The volume on a grid in HU, computed.

        Args:
            index: which pair.
            upscaled: on the upscaled grid.
            volume: the pair's CT, where it has been read already.
        """
        if volume is None:
            values = self.pairs.model_input(index, self.preset, upscaled=upscaled)
        else:
            values = self.preset.to_model(volume, upscaled=upscaled)
        hu = torch.empty(values.shape[1:], dtype=torch.int16)
        for plane, values_of_plane in zip(hu, values[0], strict=True):  # what a plane takes stays in the core's cache
            plane.copy_(intensity.model_to_hu(values_of_plane).round_())
        return hu.numpy()

    def _made(self, index: int, upscaled: bool = False, volume: CTVolume | None = None) -> Int16[np.ndarray, "z y x"]:
        """`make` for the cache: under the key of a file stands what was read of that file."""
        self.key(index)
        array = self.make(index, upscaled, volume)
        self.require_unchanged(index)
        return array

    def _content(self, index: int) -> str:
        """Fingerprint of the volume.

        Raises:
            InputError: its file cannot be read.
        """
        try:
            return self.pairs.fingerprint(index)
        except OSError as error:
            raise InputError(
                f"{self.pairs.name(index)}: cannot be read ({error.strerror}); expected a readable volume"
            ) from error


def to_model_range(hu: Int16[np.ndarray, "z y x"]) -> Float[Tensor, "z y x"]:
    """Stored HU, all within the range, to what the networks see: `hu_to_model` in one pass, for this is done often."""
    low, high = intensity.HU_RANGE
    values = np.multiply(hu, np.float32(2 / (high - low)))
    if low + high:
        values -= np.float32((low + high) / (high - low))
    return torch.from_numpy(values)
