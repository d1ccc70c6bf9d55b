"""Whether volumes show what their text says: ranking by a classifier, and what one changed finding changes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from generatect.errors import InputError
from generatect.metrics.auroc import Auroc, auroc

CHANGED_HU = 50.0
"""A voxel that changes by more than this has changed to the eye."""


def obedience(
    scores: Mapping[str, Float[np.ndarray, "n"]],
    named: Mapping[str, Bool[np.ndarray, "n"]],
    denied: Mapping[str, Bool[np.ndarray, "n"]],
) -> dict[str, Auroc | None]:
    """AUROC of a classifier per finding, between volumes whose prompt names it and volumes whose prompt denies it.

    Volumes whose prompt says nothing of the finding are left out. The 95 % interval is DeLong's.

    Args:
        scores: finding → the classifier's score of each volume.
        named: finding → whether each volume's prompt names it.
        denied: finding → whether it denies it.

    Returns:
        Finding → AUROC; None where fewer than two prompts name or deny it.

    Raises:
        InputError: a finding both named and denied, or without scores.
    """
    result: dict[str, Auroc | None] = {}
    for name in named:
        if name not in scores:
            raise InputError(f"finding {name!r}: the classifier has no score for it; it knows {', '.join(scores)}")
        if (named[name] & denied[name]).any():
            raise InputError(f"finding {name!r}: one prompt both names and denies it; expected one of them")
        positive, negative = scores[name][named[name]], scores[name][denied[name]]
        is_enough = min(len(positive), len(negative)) >= 2
        result[name] = auroc(positive, negative) if is_enough else None
    return result


class Change(NamedTuple):
    """What differs between two volumes of one seed whose prompts differ in one finding.

    Attributes:
        mean_abs_hu: mean size of the change over all voxels.
        changed_share: share of the voxels that change by more than 50 HU.
        centre_mm_zyx: centre of mass of the change of those voxels, from the middle of the volume towards superior,
            posterior and the patient's left; None where no voxel changes by so much.
        share_on_side: share of that change that lies on the expected side of the middle; None without a side.
    """

    mean_abs_hu: float
    changed_share: float
    centre_mm_zyx: tuple[float, float, float] | None
    share_on_side: float | None


def counterfactual_change(
    first_hu: Shaped[np.ndarray, "z y x"],
    second_hu: Shaped[np.ndarray, "_ _ _"],
    spacing_mm_zyx: tuple[float, float, float],
    side: str = "",
) -> Change:
    """Where, and how much, two canonical volumes of one seed differ.

    Args:
        first_hu: volume of one prompt.
        second_hu: volume of the other, on the same grid.
        spacing_mm_zyx: of the grid.
        side: "left" or "right", the patient's, where the finding has one; "" where not.

    Raises:
        InputError: volumes of different shape, or another side.
    """
    if first_hu.shape != second_hu.shape:
        raise InputError(f"volumes of {first_hu.shape} and {second_hu.shape} voxels: expected one grid")
    if side not in ("", "left", "right"):
        raise InputError(f"side={side!r}: expected 'left', 'right' or ''")
    change = np.abs(first_hu.astype(np.float32) - second_hu.astype(np.float32))
    is_changed = change > CHANGED_HU
    mean_abs_hu, changed_share = float(change.mean(dtype=np.float64)), float(is_changed.mean())
    if not is_changed.any():
        return Change(mean_abs_hu, changed_share, None, None)
    weights = np.where(is_changed, change, 0).astype(np.float64)
    profiles = [weights.sum(axis=others) for others in ((1, 2), (0, 2), (0, 1))]
    places = [
        (np.arange(len(profile)) - (len(profile) - 1) / 2) * mm
        for profile, mm in zip(profiles, spacing_mm_zyx, strict=True)
    ]
    z, y, x = (float(profile @ place / profile.sum()) for profile, place in zip(profiles, places, strict=True))
    share_on_side = None
    if side:
        along_x, place = profiles[2] / profiles[2].sum(), places[2]  # x runs from the patient's right to the left
        towards = place > 0 if side == "left" else place < 0
        share_on_side = float(along_x[towards].sum() + along_x[place == 0].sum() / 2)
    return Change(mean_abs_hu, changed_share, (z, y, x), share_on_side)
