"""What an archive holds, whatever its layout: one record for each volume, and what was left out and why."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from generatect.ct.hounsfield import Scaling

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class Record:
    """One volume with its report.

    Attributes:
        name: unique in the archive and the same tomorrow.
        path: a NIfTI file, or the folder of a DICOM series.
        patient: whose scan it is; a split never divides a patient.
        text: the prompt made of the report, never empty.
        labels: abnormality → 0 or 1; None where the archive has none.
        split: "train" or "val" where the archive itself divides its patients; None leaves it to the data module.
        metadata: slope and intercept that a table gives, for files whose header lacks them.
        spacing_mm_zyx: spacing that a table gives, for files whose header is wrong; None believes the header.
    """

    name: str
    path: Path
    patient: str
    text: str
    labels: dict[str, int] | None = None
    split: str | None = None
    metadata: Scaling | None = None
    spacing_mm_zyx: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A volume that the archive names and training cannot or shall not use.

    Attributes:
        name: as a `Record` would be named.
        reason: one line, such as "no report" or "not a chest (no_chest_train.txt)".
        expected: the archive itself says so (a list of scans that are no chest); nothing to repair.
    """

    name: str
    reason: str
    expected: bool = False


@dataclass(frozen=True)
class Manifest:
    """Everything an archive names, without a volume opened.

    Attributes:
        records: usable volumes, in an order that is the same tomorrow.
        left_out: the others.
    """

    records: list[Record]
    left_out: list[LeftOut] = field(default_factory=list)


@runtime_checkable
class Layout(Protocol):
    """How one kind of archive is laid out: a class of `generatect.data.layouts`, configured by its constructor."""

    def read(self) -> Manifest:
        """Reads tables and folder listings, never a volume.

        Raises:
            InputError: a table or folder is missing or unusable.
        """
        ...
