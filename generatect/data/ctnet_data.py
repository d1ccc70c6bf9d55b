"""Data of stage `ctnet`: whole volumes and their labels."""

from collections.abc import Mapping, Sequence

import torch

from generatect.ct.preset import Preset
from generatect.data.bad_volumes import BadVolumes
from generatect.data.ctvit_data import VolumeDataset
from generatect.data.inputs import ModelInputs
from generatect.data.module import PairsDataModule
from generatect.data.pairs import Pairs
from generatect.errors import InputError


class LabelledDataset(VolumeDataset):
    """Items of `VolumeDataset` with `labels: [k]` of 0 and 1, in the order of `label_names`."""

    def __init__(self, inputs: ModelInputs, indices: list[int], bad: BadVolumes, label_names: Sequence[str]) -> None:
        super().__init__(inputs, indices, bad)
        self.label_names = tuple(label_names)

    def _item(self, pair: int) -> dict:
        labels = self.inputs.pairs.labels(pair)
        assert labels is not None, "`CTNetData` has looked"
        values = [float(labels[name]) for name in self.label_names]
        return {**super()._item(pair), "labels": torch.tensor(values, dtype=torch.float32)}


class CTNetData(PairsDataModule):
    """Batches of volumes with their labels.

    Args:
        label_names: the labels to learn, all of which every volume has.
        pairs, preset, batch_size, val_fraction, max_val_items, max_train_items, num_workers, cache_dir, seed, on_bad,
            skipped_file: see `PairsDataModule`.
    """

    def __init__(
        self,
        *,
        pairs: Pairs,
        preset: Preset,
        label_names: Sequence[str],
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
        self.label_names = tuple(label_names)

    def make_dataset(self, indices: list[int]) -> LabelledDataset:
        """Volumes of the given pairs.

        Raises:
            InputError: one of them lacks a label.
        """
        pairs = self.inputs.pairs
        for index in indices:  # all of them now, lest a training end at the first that lacks one
            require_labels(pairs.labels(index), self.label_names, pairs.name(index))
        return LabelledDataset(self.inputs, indices, self.bad, self.label_names)


def require_labels(labels: Mapping[str, int] | None, names: Sequence[str], whose: str) -> None:
    """Refuses a volume that lacks one of the labels.

    Raises:
        InputError: naming the volume, or the label.
    """
    missing = [name for name in names if name not in (labels or {})]
    if missing:
        known = ", ".join(labels) if labels else "none"
        raise InputError(f"{whose}: has no label {missing[0]!r}, which stage 'ctnet' learns; its labels: {known}")
