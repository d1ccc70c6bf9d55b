"""Training and validation sides that share no patient."""

import hashlib
from collections.abc import Sequence

from generatect.errors import InputError


def split_by_patient(
    patients: Sequence[str],
    *,
    given: Sequence[str | None] | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
) -> dict[str, list[int]]:
    """Indices of the training and the validation side.

    Patients whom the archive puts on a side stay there; one whom it puts on both trains, all of them. If it gives
    validation patients of its own, everyone else trains. Otherwise a patient's side depends on the seed and their own
    identifier alone: rows added, removed or reordered later move nobody across. The price is that the fraction is met
    only on average.

    Args:
        patients: whose each item is.
        given: the side, "train" or "val", that the archive itself gives each item; None where it gives none.
        val_fraction: expected share of patients in "val", in [0, 1).
        seed: of the split.

    Returns:
        "train" and "val": ascending indices, together all of them; either may be empty.

    Raises:
        InputError: a fraction outside [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise InputError(f"val_fraction={val_fraction}: expected at least 0 and below 1")
    own = _own_sides(patients, given or [None] * len(patients))
    if "val" in own.values():
        val_fraction = 0.0
    sides: dict[str, list[int]] = {"train": [], "val": []}
    for index, patient in enumerate(patients):
        drawn = "val" if _position(patient, seed) < val_fraction else "train"
        sides[own.get(patient, drawn)].append(index)
    return sides


def _own_sides(patients: Sequence[str], given: Sequence[str | None]) -> dict[str, str]:
    """Patient → the side that the archive gives; training wins."""
    own: dict[str, str] = {}
    for patient, side in zip(patients, given, strict=True):
        assert side in (None, "train", "val"), f"no such side: {side!r}"
        if side is not None and own.get(patient) != "train":
            own[patient] = side
    return own


def _position(patient: str, seed: int) -> float:
    """Place of a patient in [0, 1), uniform over patients and unrelated between seeds."""
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
