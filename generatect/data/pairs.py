"""What a source of (volume, report) pairs offers, wherever the pairs come from."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume


@runtime_checkable
class Pairs(Protocol):
    """An indexed collection of chest CTs with their reports."""

    def __len__(self) -> int:
        """Number of pairs."""
        ...

    def name(self, index: int) -> str:
        """Name of the pair: unique, and the same tomorrow."""
        ...

    def patient(self, index: int) -> str:
        """Whose scan it is; a split never divides a patient."""
        ...

    def split(self, index: int) -> str | None:
        """The side, "train" or "val", that the source itself gives; None leaves it to the data module."""
        ...

    def text(self, index: int) -> str:
        """The report, never empty."""
        ...

    def labels(self, index: int) -> dict[str, int] | None:
        """Abnormality name → 0 or 1, or None where the source has no labels."""
        ...

    def volume(self, index: int) -> CTVolume:
        """The CT on its own grid, canonical, in HU."""
        ...

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on the preset's grid (or its upscaled grid), in [-1, 1]."""
        ...

    def fingerprint(self, index: int) -> str:
        """A string that changes when the volume's content does: the key of caches."""
        ...
