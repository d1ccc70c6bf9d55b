"""Training and validation sides that share no patient."""

import hashlib

from generatect.errors import InputError


def split_by_patient(patients: list[str], *, val_fraction: float = 0.1, seed: int = 0) -> dict[str, list[int]]:
    """Indices of the training and the validation side.

    A patient's side depends on the seed and their own identifier alone: rows added, removed or reordered later move
    nobody across. The price is that the fraction is met only on average.

    Args:
        patients: whose each item is.
        val_fraction: expected share of patients in "val", in [0, 1).
        seed: of the split.

    Returns:
        "train" and "val": ascending indices, together all of them; either may be empty.

    Raises:
        InputError: a fraction outside [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise InputError(f"val_fraction={val_fraction}: expected at least 0 and below 1")
    sides: dict[str, list[int]] = {"train": [], "val": []}
    for index, patient in enumerate(patients):
        sides["val" if _position(patient, seed) < val_fraction else "train"].append(index)
    return sides


def _position(patient: str, seed: int) -> float:
    """Place of a patient in [0, 1), uniform over patients and unrelated between seeds."""
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
