"""Reading: shards, wherever they live, as a source of pairs that every stage's data module takes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.data.ctnet_data import CTNetData, LabelledDataset, require_labels
from generatect.data.ctvit_data import CTViTData, VolumeDataset
from generatect.data.inputs import to_model_range
from generatect.data.module import PairsDataModule
from generatect.data.object_store import FolderStore, open_store
from generatect.data.shard_header import FORMAT, HEADER, INDEX, SIDES, Purpose, as_json_bytes, describe_preset
from generatect.data.shard_reader import Item, ShardReader
from generatect.data.streamed_items import ShardInputs, ShardReconstructions, StreamedTokens
from generatect.data.superres_data import SliceDataset, SuperResData
from generatect.data.transformer_data import TransformerData
from generatect.errors import InputError
from generatect.files import writable_folder

WRITE = "python -m generatect.shard"


class Shards:
    """Pairs whose prepared items `generatect.shard` has written: see `Pairs`.

    Order, split of the work and what is random about an item are the data module's, functions of seed and position
    alone. So batches are those of training without shards, and a resumed run goes on with the next sample: there is no
    state of a reader to save.

    Args:
        root: folder or URL that the shards were written to.
        cache_dir: folder that keeps shards of an object store.
        max_cache_gb: room they may take there; 0 keeps none, and each item is a request.

    Attributes:
        notice: what has to be said wherever the data goes; None for nothing.
        content_sha256: of all that the shards hold, wherever they lie.

    Raises:
        InputError: no shards there, or unfinished or foreign ones, or they cannot be reached.
    """

    def __init__(self, *, root: str, cache_dir: str, max_cache_gb: float = 50.0) -> None:
        if max_cache_gb < 0:
            raise InputError(f"data.max_cache_gb={max_cache_gb}: expected at least 0")
        self.root, store = root, open_store(root, "data.root")
        header = store.read_json(HEADER)
        if header is None:
            raise InputError(f"data.root={root}: no shards there ({HEADER} is missing); write them with {WRITE}")
        if header.get("format") != FORMAT:
            found = header.get("format")
            raise InputError(f"data.root={root}: shards of format {found}, expected {FORMAT}; write them anew")
        if not header.get("complete"):
            raise InputError(f"data.root={root}: the shards are not finished; run {WRITE} again, it goes on")
        self.purpose = Purpose.from_dict(header)
        self.notice: str | None = self.purpose.notice
        self.content_sha256 = _sha256({"purpose": self.purpose.to_dict(), **header["sides"]})
        keep, room = None, 0
        if not isinstance(store, FolderStore) and max_cache_gb:
            version = _sha256({"root": root, **header["sides"]})
            keep = writable_folder(Path(cache_dir).expanduser() / "shards" / version[:16], "cache_dir")
            room = int(max_cache_gb * 1e9)
        self.readers: dict[str, ShardReader] = {}
        for side in reversed(SIDES):  # validation comes round more often
            index = store.read_json(f"{side}/{INDEX}")
            if index is None or _sha256(index) != header["sides"][side]["index_sha256"]:
                raise InputError(f"data.root={root}: {side}/{INDEX} does not belong to {HEADER}; write the shards anew")
            self.readers[side] = ShardReader(store, side, index["chunks"], keep, room)
            room -= self.readers[side].kept_bytes
        self.num_train, self.num_val = (self._num_volumes(side) for side in SIDES)
        self._latest: tuple[tuple[int, int], Item] | None = None

    def __len__(self) -> int:
        """Number of pairs: first those to train on, then the others."""
        return self.num_train + self.num_val

    def split(self, index: int) -> str:
        """The side that a pair was written to."""
        return "train" if index < self.num_train else "val"

    def patient(self, index: int) -> str:
        """Shards name no patients; the sides were divided by patient when they were written."""
        return f"{self.split(index)}-{index}"

    def name(self, index: int) -> str:
        """As the archive names the volume."""
        return self._item(index)[1]["name"]

    def text(self, index: int) -> str:
        """The report."""
        return self._item(index)[1]["text"]

    def labels(self, index: int) -> dict[str, int] | None:
        """Abnormality → 0 or 1, where they were written."""
        names = self.purpose.label_names
        return dict(zip(names, self._item(index)[0]["labels"].tolist(), strict=True)) if names else None

    def fingerprint(self, index: int) -> str:
        """Changes when the shards do; wherever they lie."""
        return f"{self.content_sha256} {index}"

    def volume(self, index: int) -> CTVolume:
        """Not there.

        Raises:
            InputError: always.
        """
        raise InputError(f"data.root={self.root}: shards hold what training reads, not the original volumes")

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on the preset's grid, in [-1, 1], from shards of stage `ctvit`.

        Raises:
            InputError: shards of another stage or preset.
        """
        self.check("ctvit", preset, None)
        if upscaled:
            raise self._unfit("volumes on the lower grid alone", "the upscaled one")
        return to_model_range(self._item(index)[0]["hu"])[None]

    def ids(self, index: int) -> np.ndarray:
        """Tokens [t h w] of a pair, from shards of stage `transformer`."""
        return self._item(index)[0]["ids"]

    def slice_of(self, index: int, z: int, name: str) -> np.ndarray:
        """A slice [y x]: "highres" or "lowres" in HU or "reconstruction", from shards of stage `superres`."""
        return self._item(index, z)[0][name]

    def check(self, stage: str, preset: Preset, tokenizer_sha256: str | None) -> None:
        """Refuses to stand in for a preparation that the shards do not hold.

        Raises:
            InputError: another stage, preset or tokenizer.
        """
        ours, theirs = self.purpose, Purpose(stage, describe_preset(preset), tokenizer_sha256, 1)
        if ours.stage != stage:
            raise self._unfit(f"stage {ours.stage}", f"stage {stage}")
        grids = ("name", "grid", "upscaled_grid") if stage == "superres" else ("name", "grid")
        for key in grids:
            if ours.preset[key] != theirs.preset[key]:
                raise self._unfit(f"preset {key} {ours.preset[key]}", f"{theirs.preset[key]}")
        if list(ours.hu_range) != list(theirs.hu_range):
            raise self._unfit(f"{list(ours.hu_range)} HU", f"{list(theirs.hu_range)} HU")
        if ours.tokenizer_sha256 != tokenizer_sha256:
            known = [str(sha256)[:12] for sha256 in (ours.tokenizer_sha256, tokenizer_sha256)]
            raise self._unfit(f"what the tokenizer {known[0]}… made", f"{known[1]}…; give tokenizer= the same file")

    def dataset(self, data: PairsDataModule, indices: list[int]) -> Dataset:
        """The items of these pairs as the data module would have made them.

        Raises:
            InputError: the shards are for another stage, preset or tokenizer.
        """
        if isinstance(data, TransformerData):
            self.check("transformer", data.preset, data.tokenizer_sha256)
            return StreamedTokens(self, indices, data.bad)
        inputs = ShardInputs(self, data.preset)
        if isinstance(data, SuperResData):
            self.check("superres", data.preset, data.tokenizer_sha256)
            return SliceDataset(
                inputs,
                indices,
                ShardReconstructions(inputs),
                data.crop,
                data.reconstruction_prob,
                data.seed,
                data.bad,
            )
        self.check("ctvit", data.preset, None)
        if isinstance(data, CTNetData):
            require_labels(self.labels(0), data.label_names, f"data.root={self.root}")
            return LabelledDataset(inputs, indices, data.bad, data.label_names)
        assert isinstance(data, CTViTData), type(data)
        return VolumeDataset(inputs, indices, data.bad)

    def _item(self, index: int, z: int | None = None) -> Item:
        """The item of a pair, or of one of its slices; the one asked for before is kept, whichever of its parts."""
        latest = self._latest
        if latest is not None and latest[0][0] == index and z in (None, latest[0][1]):
            return latest[1]
        side, place = ("train", index) if index < self.num_train else ("val", index - self.num_train)
        number = place * self.purpose.items_per_volume + (z or 0)
        self._latest = (index, z or 0), self.readers[side][number]
        return self._latest[1]

    def _num_volumes(self, side: str) -> int:
        return len(self.readers[side]) // self.purpose.items_per_volume

    def _unfit(self, held: str, wanted: str) -> InputError:
        return InputError(f"data.root={self.root}: the shards hold {held}, this training needs {wanted}")


def _sha256(content: dict[str, Any]) -> str:
    """Hash of a JSON file as `generatect.data.shards` writes it."""
    return hashlib.sha256(as_json_bytes(content)).hexdigest()
