"""Data of stage `ctvit`: whole volumes."""

from torch.utils.data import Dataset

from generatect.data.inputs import ModelInputs
from generatect.data.module import PairsDataModule


class VolumeDataset(Dataset):
    """Items `{volume: [1 z y x] in [-1, 1], text, name}`."""

    def __init__(self, inputs: ModelInputs, indices: list[int]) -> None:
        self.inputs, self.indices = inputs, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        pair = self.indices[place[1]]
        pairs = self.inputs.pairs
        return {"volume": self.inputs.volume(pair), "text": pairs.text(pair), "name": pairs.name(pair)}


class CTViTData(PairsDataModule):
    """Batches of volumes for the tokenizer."""

    def make_dataset(self, indices: list[int]) -> VolumeDataset:
        """Volumes of the given pairs."""
        return VolumeDataset(self.inputs, indices)
