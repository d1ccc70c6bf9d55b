"""Folders to audit, and how they are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from generatect.ct.nifti import write_nifti
from generatect.ct.preset import Preset
from generatect.data.safe_csv import write_csv
from generatect.phantom.pairs import PhantomPairs

NUM_TRAIN, NUM_HELDOUT, NUM_GENERATED = 30, 60, 20


@dataclass(frozen=True)
class Folders:
    """Where they lie."""

    train: Path
    heldout: Path
    copies: Path
    fresh: Path
    preset: Preset

    def settings(self, generated: Path, output: Path, *more: str) -> tuple[str, ...]:
        """Of the command; `more` goes before what is usual."""
        usual = (f"train={self.train}", f"generated={generated}", f"heldout={self.heldout}", f"output={output}")
        usual += (f"cache_dir={self.train.parent / 'cache'}", "device=cpu")
        return tuple({setting.partition("=")[0]: setting for setting in (*usual, *more)}.values())


def write_phantoms(folder: Path, pairs: PhantomPairs, preset: Preset) -> None:
    folder.mkdir()
    for index in range(len(pairs)):
        write_nifti(folder / f"{pairs.name(index)}.nii.gz", preset.to_volume(pairs.model_input(index, preset)))
    rows = [(f"{pairs.name(index)}.nii.gz", pairs.patient(index)) for index in range(len(pairs))]
    write_csv(folder / "table.csv", ("volume", "patient"), rows)


def write_volumes(folder: Path, volumes: Tensor | Sequence[Tensor], preset: Preset) -> None:
    folder.mkdir()
    for index, volume in enumerate(volumes):
        write_nifti(folder / f"{index:04d}.nii.gz", preset.to_volume(volume))
