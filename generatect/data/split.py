"""Training and validation sides that share no patient."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from generatect.data.pairs import Pairs
from generatect.errors import InputError


def sides_of(
    pairs: Pairs,
    *,
    val_fraction: float = 0.1,
    max_val_items: int = 64,
    max_train_items: int | None = None,
    seed: int = 0,
) -> dict[str, list[int]]:
    """The pairs that a training uses: indices of those in "train" and in "val", each side ascending.

    Args:
        pairs: source of volumes and reports.
        val_fraction: share of the patients kept for validation.
        max_val_items: at most so many validation items.
        max_train_items: at most so many items to train on; None takes all.
        seed: of the split.

    Raises:
        InputError: a fraction outside [0, 1), or no patient left to train on.
    """
    if not 0 <= val_fraction < 1:
        raise InputError(f"stage.datamodule.val_fraction={val_fraction}: expected at least 0 and below 1")
    everyone = range(len(pairs))
    sides = split_by_patient(
        [pairs.patient(index) for index in everyone],
        given=[pairs.split(index) for index in everyone],
        val_fraction=val_fraction,
        seed=seed,
    )
    if not sides["train"]:
        raise InputError(
            f"data: no volume left for training out of {len(pairs)}; lower stage.datamodule.val_fraction="
            f"{val_fraction}, or say in a column 'split' of the table who trains (train) and who validates (val)"
        )
    return {"train": sides["train"][:max_train_items], "val": sides["val"][:max_val_items]}


def describe_sides(pairs: Pairs, sides: dict[str, list[int]]) -> dict[str, Any]:
    """What a run is trained and validated on, as plain values that are the same for the same data in the same order.

    Of a pair its name, patient, prompt and labels count; volumes are not read for it. Pairs that know a shorter way say
    by `content_sha256` what they hold.

    Returns:
        "split", who is on which side, and "reports_and_labels", what is known of them: numbers and SHA-256.
    """
    content, used = getattr(pairs, "content_sha256", None), [*sides["train"], *sides["val"]]
    names = [(index, None) if content else (pairs.name(index), pairs.patient(index)) for index in used]
    known = content or [(pairs.text(index), pairs.labels(index)) for index in used]
    numbers = {side: len(indices) for side, indices in sides.items()}
    return {"split": {**numbers, "sha256": _sha256([numbers, names])}, "reports_and_labels": {"sha256": _sha256(known)}}


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


def decided_sides(patients: Sequence[str], given: Sequence[str | None]) -> list[str | None]:
    """The side of each item as far as the archive decides it, whatever fraction and seed `split_by_patient` gets.

    Args:
        patients: whose each item is.
        given: the side that the archive itself gives each item.

    Returns:
        "train" or "val"; None where the side is drawn.
    """
    own = _own_sides(patients, given)
    otherwise = "train" if "val" in own.values() else None
    return [own.get(patient, otherwise) for patient in patients]


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


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=int).encode()).hexdigest()
