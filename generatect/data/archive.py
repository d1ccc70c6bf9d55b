"""Pairs of an archive on disk, by its manifest."""

from collections import Counter
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from generatect.ct.hounsfield import HU_POLICIES, HUDecision
from generatect.ct.preset import Preset
from generatect.ct.scan import read_scan
from generatect.ct.volume import CTVolume
from generatect.data.fingerprint import fingerprint
from generatect.data.manifest import Layout, Manifest, Record
from generatect.errors import InputError


class ArchivePairs:
    """Pairs from an archive: see `Pairs`.

    Args:
        layout: what the archive holds and where.
        hu_policy: how stored values become HU; see `generatect.ct.hounsfield`.
        assume_axes: axes of files that state neither sform nor qform, such as "LPS"; None refuses them.

    Raises:
        InputError: the archive's tables or folders cannot be used, or no volume is left.
    """

    def __init__(self, *, layout: Layout, hu_policy: str = "auto", assume_axes: str | None = None) -> None:
        if hu_policy not in HU_POLICIES:
            raise InputError(f"data.hu_policy={hu_policy}: expected one of {', '.join(HU_POLICIES)}")
        self.layout, self.hu_policy, self.assume_axes = layout, hu_policy, assume_axes
        if not self.records:
            reasons = Counter(entry.reason for entry in self.manifest.left_out).most_common(5)
            shown = "; ".join(f"{count}: {reason}" for reason, count in reasons)
            raise InputError(f"data: no usable volume, all {len(self.manifest.left_out)} are left out ({shown})")

    @cached_property
    def manifest(self) -> Manifest:
        """Everything the archive names."""
        return self.layout.read()

    @property
    def records(self) -> list[Record]:
        """Usable volumes."""
        return self.manifest.records

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.records)

    def name(self, index: int) -> str:
        """Volume as the archive names it."""
        return self.records[index].name

    def patient(self, index: int) -> str:
        """Whose scan it is."""
        return self.records[index].patient

    def split(self, index: int) -> str | None:
        """The side, "train" or "val", that the archive itself gives; None leaves it to the data module."""
        return self.records[index].split

    def text(self, index: int) -> str:
        """The prompt made of the report."""
        return self.records[index].text

    def labels(self, index: int) -> dict[str, int] | None:
        """Abnormality → 0 or 1; None where the archive has none."""
        return self.records[index].labels

    def read(self, index: int) -> tuple[CTVolume, HUDecision]:
        """The CT on its own grid, canonical, and how its values became HU."""
        record = self.records[index]
        scan = read_scan(
            record.path,
            hu_policy=self.hu_policy,
            metadata=record.metadata,
            spacing_mm_zyx=record.spacing_mm_zyx,
            assume_axes=self.assume_axes,
        )
        return scan.volume, scan.hu

    def volume(self, index: int) -> CTVolume:
        """The CT on its own grid, canonical, in HU."""
        return self.read(index)[0]

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on the preset's grid (or its upscaled grid), in [-1, 1]."""
        return preset.to_model(self.volume(index), upscaled=upscaled)

    def fingerprint(self, index: int) -> str:
        """Hash of what the file holds and of how it is read."""
        record = self.records[index]
        how = f"{self.hu_policy} {record.metadata} {record.spacing_mm_zyx} {self.assume_axes}"
        return fingerprint(record.path, how)
