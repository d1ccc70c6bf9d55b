"""Which volumes of a source serve as the real ones."""

from generatect.data.pairs import Pairs
from generatect.data.split import split_by_patient
from generatect.errors import InputError


def chosen(
    pairs: Pairs, split: str, val_fraction: float, seed: int, num_volumes: int, num_real: int | None
) -> list[int]:
    """Pairs whose volumes are the real ones; the reports of the first `num_volumes` are the prompts.

    Raises:
        InputError: an unknown split, or fewer pairs than are asked for.
    """
    if split not in ("val", "all"):
        raise InputError(f"split={split}: expected val or all")
    everyone = range(len(pairs))
    indices = list(everyone)
    if split == "val":
        patients, given = [pairs.patient(index) for index in everyone], [pairs.split(index) for index in everyone]
        indices = split_by_patient(patients, given=given, val_fraction=val_fraction, seed=seed)["val"]
    wanted = num_volumes if num_real is None else num_real
    if len(indices) < wanted:
        key = "num_volumes" if num_real is None else "num_real"
        raise InputError(
            f"{key}={wanted}: the data have {len(indices)} volumes in split={split}; lower it, or take split=all"
        )
    return indices[: 2 * num_volumes if num_real is None else num_real]
