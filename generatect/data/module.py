"""What the data modules of all stages share: the split by patient and the loaders."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from generatect.ct.preset import Preset
from generatect.data.bad_volumes import BadVolumes
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.pairs import Pairs
from generatect.data.sampler import EndlessShuffle
from generatect.data.split import sides_of
from generatect.errors import InputError
from generatect.signals import leave_to_parent


class PairsDataModule(L.LightningDataModule):
    """Training and validation batches over pairs of volume and report.

    A subclass says what an item is (`make_dataset`); patients never sit on both sides of the split. A subclass whose
    items are prepared beforehand leaves bad volumes out of `indices`; one that reads volumes as it goes puts the next
    good one in their place.

    Args:
        pairs: source of volumes and reports.
        preset: how a volume comes onto the model's grid.
        batch_size: items a batch and process.
        val_fraction: share of the patients kept for validation.
        max_val_items: at most so many validation items.
        max_train_items: at most so many items to train on; None takes all.
        num_workers: worker processes; 0 loads in the training process.
        cache_dir: folder of computed arrays; None computes low-resolution volumes anew each time.
        seed: of the split and of the order.
        on_bad: "raise" ends the run at the first volume that cannot be read; "skip" leaves such volumes out.
        skipped_file: CSV that lists the volumes left out; needed for "skip".

    Raises:
        InputError: a number out of its range, an unknown `on_bad`, or no patient left to train on.
    """

    def __init__(
        self,
        *,
        pairs: Pairs,
        preset: Preset,
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
        super().__init__()
        for key, value, least in (
            ("batch_size", batch_size, 1),
            ("num_workers", num_workers, 0),
            ("max_val_items", max_val_items, 0),
        ):
            if value < least:
                raise InputError(f"stage.datamodule.{key}={value}: expected at least {least}")
        self.preset, self.batch_size, self.num_workers, self.seed = preset, batch_size, num_workers, seed
        self.cache = ArrayCache(cache_dir) if cache_dir is not None else None
        self.inputs = ModelInputs(pairs, preset, self.cache)
        sides = sides_of(
            pairs,
            val_fraction=val_fraction,
            max_val_items=max_val_items,
            max_train_items=max_train_items,
            seed=seed,
        )
        self.train_indices, self.val_indices = sides["train"], sides["val"]
        self.bad = BadVolumes(pairs.name, len(self.train_indices) + len(self.val_indices), on_bad, skipped_file)

    def make_dataset(self, indices: list[int]) -> Any:
        """The items of the given pairs, or of those that can be read; an item is addressed by (position, index)."""
        raise NotImplementedError

    def setup(self, stage: str | None = None) -> None:
        """Builds both datasets once."""
        if not hasattr(self, "train_data"):
            if self.ranks[0] == 0:
                self.bad.start()
            self.wait_for_others()
            self.train_data = self._dataset(self.train_indices)
            self.val_data = self._dataset(self.val_indices) if self.val_indices else None

    def _dataset(self, indices: list[int]) -> Any:
        """What the source holds ready-made, as shards do, or else what is made of it."""
        ready_made = getattr(self.inputs.pairs, "dataset", None)
        return self.make_dataset(indices) if ready_made is None else ready_made(self, indices)

    def teardown(self, stage: str | None = None) -> None:
        """Says at the end of a run how many volumes it did without."""
        if stage == "fit" and self.ranks[0] == 0 and (count := self.bad.num_listed()):
            print(f"left out {count} of {self.bad.total} volumes, which cannot be read; see {self.bad.file}")

    def missing(self, indices: Sequence[int], is_missing: Callable[[int], bool]) -> list[int]:
        """Those of `indices` that are still to be prepared; bad ones are left out."""
        found = []
        for index in indices:
            with self.bad.leaving_out(index):
                if is_missing(index):
                    found.append(index)
        return found

    @property
    def ranks(self) -> tuple[int, int]:
        """This process's place among those that train together, and their number."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def wait_for_others(self) -> None:
        """Returns once every process that trains together has come here."""
        if self.ranks[1] > 1:
            self.trainer.strategy.barrier()

    def agree_on_bad(self) -> None:
        """Waits for the other processes; then all know of the volumes that any of them could not read."""
        num_ranks = self.ranks[1]
        if num_ranks > 1:
            everyone: list[Any] = [None] * num_ranks
            torch.distributed.all_gather_object(everyone, self.bad.reasons)
            for reasons in everyone:
                self.bad.reasons |= reasons

    def train_dataloader(self) -> DataLoader:
        """Endless; the trainer's number of steps ends it."""
        (rank, num_replicas), start = self.ranks, 0
        if self.trainer:
            done = self.trainer.fit_loop.epoch_loop.batch_progress.current.completed  # not 0 in a resumed run
            start = self.trainer.lightning_module.positions(self.batch_size, range(done, done)).start
        sampler = EndlessShuffle(len(self.train_data), self.seed, rank, num_replicas, start)
        return self._loader(self.train_data, sampler)

    def val_dataloader(self) -> DataLoader | list:
        """Every validation item once, in order."""
        if self.val_data is None:
            return []
        return self._loader(self.val_data, [(index, index) for index in range(len(self.val_data))])

    def _loader(self, data: Dataset, sampler: EndlessShuffle | list[tuple[int, int]]) -> DataLoader:
        return DataLoader(
            data,
            batch_size=self.batch_size,
            sampler=sampler,  # type: ignore[arg-type]
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=leave_to_parent,
            pin_memory=self.trainer is not None and self.trainer.accelerator.__class__.__name__ == "CUDAAccelerator",
        )
