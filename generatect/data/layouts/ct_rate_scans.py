"""CT-RATE's names, which say whose scan a volume is, and what is said of volumes by name."""

from typing import Generic, TypeVar

from generatect.ct.volume_files import without_ending

T = TypeVar("T")


def volume_of(name: str) -> str:
    """Volume's name without folder and ending."""
    return without_ending(name.rpartition("/")[2])


def scan_of(volume: str) -> str:
    """The scan that a reconstruction was made from: `train_1_a` of `train_1_a_2`."""
    return volume.rpartition("_")[0]


def patient_of(volume: str) -> str:
    """Whose it is: `train_1` of `train_1_a_2`. `valid_1` is somebody else: each part counts its patients anew."""
    return "_".join(volume.split("_")[:2])


class OfScans(Generic[T]):
    """What tables say of volumes. The reconstructions of one scan share what only one of them is given.

    Attributes:
        of_volume: volume → the first that is said of it.
        contradicted: volumes of which two different things are said.
    """

    def __init__(self) -> None:
        self.of_volume, self.contradicted = dict[str, T](), set[str]()
        self._of_scan = dict[str, T | None]()

    def add(self, volume: str, said: T) -> None:
        """Takes one row."""
        if self.of_volume.setdefault(volume, said) != said:
            self.contradicted.add(volume)
        if self._of_scan.setdefault(scan_of(volume), said) != said:
            self._of_scan[scan_of(volume)] = None  # which of them holds for a reconstruction without a row?

    def find(self, volume: str) -> T | None:
        """What is said of the volume, or else of all other reconstructions of its scan."""
        return self.of_volume.get(volume) or self._of_scan.get(scan_of(volume))
