"""Data of stage `superres`: single slices at both resolutions, with their reports."""

import numpy as np
from torch.utils.data import Dataset

from generatect.ct.preset import Preset
from generatect.data.bad_volumes import BadVolumes
from generatect.data.inputs import ModelInputs
from generatect.data.module import PairsDataModule
from generatect.data.pairs import Pairs
from generatect.data.reconstructions import Reconstructions
from generatect.errors import InputError
from generatect.files import require_space
from generatect.networks.ctvit import CTViT
from generatect.progress import size, tracked


class SliceDataset(Dataset):
    """Items `{highres: [1 y x], lowres: [1 h w], text, name}` in [-1, 1]: one random slice, or a crop of one.

    Args:
        inputs: the pairs on the preset's grids, with a cache.
        indices: which pairs.
        reconstructions: the tokenizer's.
        crop: side of the high-resolution crop in voxels, a multiple of the upscaling; None takes the whole slice.
        reconstruction_prob: how often the low-resolution slice is the tokenizer's reconstruction rather than the true
            one. Generated volumes look like reconstructions; true slices teach detail. 1 is the original's way.
        seed: with an item's position it decides slice, crop and source.
        bad: what to do where a volume cannot be read any more.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        indices: list[int],
        reconstructions: Reconstructions,
        crop: int | None,
        reconstruction_prob: float,
        seed: int,
        bad: BadVolumes,
    ) -> None:
        self.inputs, self.indices, self.reconstructions, self.bad = inputs, indices, reconstructions, bad
        self.crop, self.reconstruction_prob, self.seed = crop, reconstruction_prob, seed

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        position, index = place
        random = np.random.default_rng((self.seed, position))
        (num_slices, lowres_size, _), (_, size, _) = (
            grid.shape_zyx for grid in (self.inputs.preset.grid, self.inputs.preset.upscaled_grid)
        )
        z = int(random.integers(num_slices))
        is_reconstruction = random.random() < self.reconstruction_prob
        factor = size // lowres_size
        crop = self.crop or size
        top, left = (int(random.integers((size - crop) // factor + 1)) for _ in range(2))

        def read(pair: int) -> dict:
            highres = self.inputs.slices(pair, [z], upscaled=True)
            lowres = (self.reconstructions if is_reconstruction else self.inputs).slices(pair, [z])
            rows, columns = (slice(start * factor, start * factor + crop) for start in (top, left))
            small_rows, small_columns = (slice(start, start + crop // factor) for start in (top, left))
            return {
                "highres": highres[:, rows, columns],
                "lowres": lowres[:, small_rows, small_columns],
                "text": self.inputs.pairs.text(pair),
                "name": self.inputs.pairs.name(pair),
            }

        return self.bad.first_readable(index, self.indices, read)

    def neighbours(self, index: int, num_slices: int) -> dict:
        """So many slices in a row from the middle of one volume, whole, as a batch: metrics look along z.

        The low-resolution ones are reconstructions, as in `generate`, unless none are trained on.
        """
        depth = self.inputs.preset.grid.shape_zyx[0]
        first = (depth - num_slices) // 2
        z_indices = range(first, first + num_slices)

        def read(pair: int) -> dict:
            source = self.reconstructions if self.reconstruction_prob > 0 else self.inputs
            return {
                "highres": self.inputs.slices(pair, z_indices, upscaled=True)[:, None],
                "lowres": source.slices(pair, z_indices)[:, None],
                "text": [self.inputs.pairs.text(pair)] * num_slices,
            }

        return self.bad.first_readable(index, self.indices, read)


class SuperResData(PairsDataModule):
    """Batches of slices; volumes and their reconstructions are computed once and read by memory map.

    Args:
        tokenizer: the frozen CT-ViT that makes the low-resolution slices.
        tokenizer_sha256: hash of its file, part of the cache's key.
        crop: see `SliceDataset`.
        reconstruction_prob: see `SliceDataset`.
        cache_dir: folder of the computed arrays; needed, for full-resolution volumes are large.
        pairs, preset, batch_size, val_fraction, max_val_items, max_train_items, num_workers, seed, on_bad,
            skipped_file: see `PairsDataModule`.

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
        max_train_items: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        on_bad: str = "raise",
        skipped_file: str | None = None,
    ) -> None:
        _check_slices(preset, crop, reconstruction_prob)
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
        self.tokenizer, self.tokenizer_sha256 = tokenizer, tokenizer_sha256
        self.crop, self.reconstruction_prob = crop, reconstruction_prob

    def make_dataset(self, indices: list[int]) -> SliceDataset:
        """Slices of the given pairs; of several processes each prepares its part and reads the rest."""
        inputs, cache, (rank, num_ranks) = self.inputs, self.cache, self.ranks
        assert cache is not None
        reconstructions = Reconstructions(inputs, self.tokenizer, self.tokenizer_sha256, cache)

        def prepare(index: int) -> None:
            if not inputs.is_cached(index, upscaled=True):
                inputs.keep(index, upscaled=True)
            if index not in reconstructions:
                reconstructions.keep(index)

        fine = self.missing(indices, lambda index: not inputs.is_cached(index, upscaled=True))
        coarse = self.missing(indices, lambda index: index not in reconstructions)
        missing = {*fine, *coarse}
        if missing:
            # Two bytes a voxel; a reconstruction is made of a low-resolution volume, which is kept, too.
            num_voxels = (
                len(fine) * self.preset.upscaled_grid.num_voxels + 2 * len(coarse) * self.preset.grid.num_voxels
            )
            if rank == 0:
                print(
                    f"{len(missing)} of {len(indices)} volumes to prepare, once, at most {size(2 * num_voxels)} "
                    f"in {cache.folder}"
                )
            require_space(cache.folder / "volumes", 2 * num_voxels, "cache_dir")
        self.tokenizer.to(self.trainer.strategy.root_device if self.trainer else "cpu")
        own = [index for index in indices[rank::num_ranks] if index in missing]
        for index in tracked(own, f"slices of {len(own)} volumes", len(own), shown=rank == 0):
            with self.bad.leaving_out(index):
                prepare(index)
        self.agree_on_bad()
        usable = self.bad.usable(indices)
        for index in missing.intersection(usable):
            prepare(index)  # nothing to do where the processes share one folder
        self.tokenizer.to("cpu")  # where worker processes can use it, should an entry turn out damaged
        return SliceDataset(inputs, usable, reconstructions, self.crop, self.reconstruction_prob, self.seed, self.bad)


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
