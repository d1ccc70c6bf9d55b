"""A pair as the networks see it: on the preset's grids, in [-1, 1], read from a cache where there is one."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from generatect.ct.intensity import hu_to_model, model_to_hu
from generatect.ct.preset import Preset
from generatect.data.cache import ArrayCache
from generatect.data.pairs import Pairs


class ModelInputs:
    """The pairs of a source through a preset.

    Cached arrays are int16 HU: a CT has no finer values, and they take half the room of float32.

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
            return self.pairs.model_input(index, self.preset)
        return hu_to_model(torch.from_numpy(self._hu(index, upscaled=False).astype(np.float32)))

    def highres_hu(self, index: int) -> np.ndarray:
        """The volume on the upscaled grid, int16 HU [1 z y x]; a memory map where it is cached."""
        return self._hu(index, upscaled=True)

    def key(self, index: int) -> tuple[str, ...]:
        """What the array on the model's grid depends on; asked of the source once, as it may read the file for it."""
        if index not in self._keys:
            preset = self.preset
            grids = f"{preset.name} {preset.grid} {preset.upscaled_grid}"
            self._keys[index] = (self.pairs.fingerprint(index), grids)
        return self._keys[index]

    def highres_key(self, index: int) -> tuple[str, ...]:
        """Key of `highres_hu` in the cache."""
        return ("upscaled", *self.key(index))

    def _hu(self, index: int, upscaled: bool) -> np.ndarray:
        def make() -> np.ndarray:
            values = self.pairs.model_input(index, self.preset, upscaled=upscaled)
            return model_to_hu(values).round().to(torch.int16).numpy()

        parts = self.highres_key(index) if upscaled else ("volume", *self.key(index))
        return make() if self.cache is None else self.cache.get(parts, make)
