"""Data of stage `ctvit`: whole volumes."""

from torch.utils.data import Dataset

from generatect.data.bad_volumes import BadVolumes
from generatect.data.inputs import ModelInputs
from generatect.data.module import PairsDataModule


class VolumeDataset(Dataset):
    """Items `{volume: [1 z y x] in [-1, 1], text, name}`; in the place of a volume left out stands the next one."""

    def __init__(self, inputs: ModelInputs, indices: list[int], bad: BadVolumes) -> None:
        self.inputs, self.indices, self.bad = inputs, indices, bad

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        return self.bad.first_readable(place[1], self.indices, self._item)

    def _item(self, pair: int) -> dict:
        pairs = self.inputs.pairs
        return {"volume": self.inputs.volume(pair), "text": pairs.text(pair), "name": pairs.name(pair)}


class CTViTData(PairsDataModule):
    """Batches of volumes for the tokenizer."""

    def make_dataset(self, indices: list[int]) -> VolumeDataset:
        """Volumes of the given pairs."""
        return VolumeDataset(self.inputs, indices, self.bad)
