"""Data of stage `superres`: single slices at both resolutions, with their reports."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from rich.progress import track
from torch.utils.data import Dataset

from generatect.ct.intensity import hu_to_model
from generatect.ct.preset import Preset
from generatect.data.cache import CachedArrays
from generatect.data.inputs import ModelInputs
from generatect.data.module import PairsDataModule
from generatect.data.pairs import Pairs
from generatect.errors import InputError
from generatect.networks.ctvit import CTViT


class SliceDataset(Dataset):
    """Items `{highres: [1 y x], lowres: [1 h w], text}`, both in [-1, 1]: one random slice, or a crop of one.

    Args:
        inputs: the pairs on the preset's grids.
        indices: which pairs.
        reconstructions: per pair, the tokenizer's reconstruction [z h w].
        crop: side of the high-resolution crop in voxels, a multiple of the upscaling; None takes the whole slice.
        reconstruction_prob: how often the low-resolution slice is the tokenizer's reconstruction rather than the true
            one. Generated volumes look like reconstructions; true slices teach detail. 1 is the original's way.
        seed: with an item's position it decides slice, crop and source.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        indices: list[int],
        reconstructions: Sequence[np.ndarray],
        crop: int | None,
        reconstruction_prob: float,
        seed: int,
    ) -> None:
        self.inputs, self.indices, self.reconstructions = inputs, indices, reconstructions
        self.crop, self.reconstruction_prob, self.seed = crop, reconstruction_prob, seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        position, index = place
        random = np.random.default_rng((self.seed, position))
        pair = self.indices[index]
        volume_hu = self.inputs.highres_hu(pair)[0]
        num_slices, size, _ = volume_hu.shape
        z = int(random.integers(num_slices))
        if random.random() < self.reconstruction_prob:
            lowres = torch.from_numpy(np.array(self.reconstructions[index][z], dtype=np.float32))[None]
        else:
            lowres = self.inputs.volume(pair)[:, z]
        factor = size // lowres.shape[-1]
        crop = self.crop or size
        top, left = (int(random.integers((size - crop) // factor + 1)) for _ in range(2))
        rows = slice(top * factor, top * factor + crop)
        columns = slice(left * factor, left * factor + crop)
        highres = hu_to_model(torch.from_numpy(np.array(volume_hu[z, rows, columns], dtype=np.float32)))[None]
        lowres = lowres[:, top : top + crop // factor, left : left + crop // factor]
        return {"highres": highres, "lowres": lowres, "text": self.inputs.pairs.text(pair)}


class SuperResData(PairsDataModule):
    """Batches of slices; volumes and their reconstructions are computed once and read by memory map.

    Args:
        tokenizer: the frozen CT-ViT that makes the low-resolution slices.
        tokenizer_sha256: hash of its file, part of the cache's key.
        crop: see `SliceDataset`.
        reconstruction_prob: see `SliceDataset`.
        cache_dir: folder of the computed arrays; needed, for full-resolution volumes are large.
        pairs, preset, batch_size, val_fraction, max_val_items, num_workers, seed: see `PairsDataModule`.

    Raises:
        InputError: resolutions, crop or probability that do not fit.
    """

    def __init__(
        self,
        *,
        pairs: Pairs,
        preset: Preset,
        tokenizer: CTViT,
        tokenizer_sha256: str,
        cache_dir: str,
        crop: int | None = None,
        reconstruction_prob: float = 1.0,
        batch_size: int = 4,
        val_fraction: float = 0.1,
        max_val_items: int = 64,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        _check_slices(preset, crop, reconstruction_prob)
        super().__init__(
            pairs=pairs,
            preset=preset,
            batch_size=batch_size,
            val_fraction=val_fraction,
            max_val_items=max_val_items,
            num_workers=num_workers,
            cache_dir=cache_dir,
            seed=seed,
        )
        self.tokenizer, self.tokenizer_sha256 = tokenizer, tokenizer_sha256
        self.crop, self.reconstruction_prob = crop, reconstruction_prob

    def make_dataset(self, indices: list[int]) -> SliceDataset:
        """Slices of the given pairs; of several processes each prepares its part and reads the rest."""
        device = self.trainer.strategy.root_device if self.trainer else "cpu"
        tokenizer = self.tokenizer.to(device)
        cache = self.cache
        assert cache is not None
        keys = {index: ("reconstruction", self.tokenizer_sha256, *self.inputs.key(index)) for index in indices}

        def reconstruct(index: int) -> np.ndarray:
            with torch.inference_mode():
                volume = tokenizer(self.inputs.volume(index)[None].to(device)).reconstruction
            return volume[0, 0].cpu().numpy().astype(np.float16)

        def prepare(index: int) -> None:
            self.inputs.highres_hu(index)
            cache.get(keys[index], lambda: reconstruct(index))

        rank, num_ranks = self.ranks
        missing = sum(self.inputs.highres_key(index) not in cache or keys[index] not in cache for index in indices)
        if missing and rank == 0:
            print(f"{missing} of {len(indices)} volumes to prepare, once, {self._room(missing)} in {cache.folder}")
        own = indices[rank::num_ranks]
        for index in track(own, description=f"Slices of {len(indices)} volumes", transient=True, disable=rank > 0):
            prepare(index)
        self.wait_for_others()
        for index in indices:
            prepare(index)  # nothing to do where the processes share one folder
        reconstructions = CachedArrays(cache, [keys[index] for index in indices])
        return SliceDataset(self.inputs, indices, reconstructions, self.crop, self.reconstruction_prob, self.seed)

    def _room(self, num_volumes: int) -> str:
        """What so many volumes take on disk: both resolutions and the reconstruction, two bytes a voxel."""
        coarse, fine = (math.prod(grid.shape_zyx) for grid in (self.preset.grid, self.preset.upscaled_grid))
        return f"at most {num_volumes * 2 * (2 * coarse + fine) / 1e9:.2f} GB"


def _check_slices(preset: Preset, crop: int | None, reconstruction_prob: float) -> None:
    """Refuses resolutions that do not divide, a crop that does not fit them, and what is no probability."""
    size, upscaled_size = preset.grid.shape_zyx[2], preset.upscaled_grid.shape_zyx[2]
    factor, rest = divmod(upscaled_size, size)
    if rest:
        raise InputError(f"model.upscaled_size={upscaled_size}: expected a multiple of model.size={size}")
    if crop is not None and (crop < 1 or crop > upscaled_size or crop % factor):
        raise InputError(
            f"stage.datamodule.crop={crop}: expected null or a multiple of the upscaling, {factor}, "
            f"up to the slice's {upscaled_size}"
        )
    if not 0 <= reconstruction_prob <= 1:
        raise InputError(f"stage.datamodule.reconstruction_prob={reconstruction_prob}: expected 0 to 1")
