"""What a classifier may be trained on: real volumes, synthetic ones, both, and several times as many synthetic ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from generatect.errors import InputError

REAL = "real"
_SYNTHETIC = re.compile(r"(?:([1-9]\d?) ?x ?)?synthetic")


@dataclass(frozen=True)
class TrainingSet:
    """One row of the table.

    Attributes:
        name: as given.
        has_real: the real training volumes are in it.
        num_times: how often the usual number of synthetic volumes is in it, each of them another volume.
    """

    name: str
    has_real: bool
    num_times: int


def training_sets(names: Sequence[str]) -> list[TrainingSet]:
    """The sets of those names.

    Args:
        names: "real", "synthetic", "Nx synthetic", "real + synthetic", "real + Nx synthetic"; "both" is
            "real + synthetic".

    Raises:
        InputError: another name, one twice, or no "real", with which the others are compared.
    """
    found = [_training_set(" ".join(name.split())) for name in names]
    meanings = [(one.has_real, one.num_times) for one in found]
    if (True, 0) not in meanings or len(set(meanings)) < len(meanings):
        raise InputError(f"sets=[{', '.join(names)}]: expected real, with which the others are compared, and each once")
    return found


def _training_set(name: str) -> TrainingSet:
    if name == REAL:
        return TrainingSet(name, True, 0)
    if name == "both":
        return TrainingSet(name, True, 1)
    match = _SYNTHETIC.fullmatch(re.sub(r"^real ?\+ ?", "", name))
    if match is None:
        raise InputError(
            f"sets: {name!r} is no training set; expected real, synthetic, 3x synthetic, both or real + 3x synthetic"
        )
    return TrainingSet(name, name.startswith(REAL), int(match[1] or 1))
