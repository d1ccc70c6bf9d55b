"""What three folders must be before anything can be concluded from them."""

import math
from itertools import combinations

import numpy as np
from jaxtyping import Float64

from generatect.errors import InputError
from generatect.privacy.folder import AuditedFolder

LEAST_PATIENTS = 4
"""So that held-out patients can be halved, two and two."""
LARGEST_RATE = 0.5
SAME_IMAGE = 1e-3
"""Share of the usual distance below which two volumes are one: no second scan of a patient comes so near."""

UNSEEN = "a held-out volume must not have trained the model"
NOT_REAL = "a generated volume must not be a real one"


def require_auditable(train: AuditedFolder, generated: AuditedFolder, heldout: AuditedFolder, rate: float) -> None:
    """Refuses folders that are one or lie in each other, held-out volumes that trained, and too few of them.

    A folder of held-out volumes that is called generated would look like a generator that copies nobody.

    Args:
        train: what the model saw.
        generated: what it makes.
        heldout: real volumes that it never saw.
        rate: share of an honest generator's volumes that may be flagged.

    Raises:
        InputError: naming the folders, and the volumes at fault.
    """
    if not 0 < rate <= LARGEST_RATE:
        raise InputError(f"false_positive_rate={rate}: expected above 0 and at most {LARGEST_RATE}")
    for first, second in combinations((train, generated, heldout), 2):
        _require_apart(first, second)
    _require_unseen(train, heldout)
    _require_other_files(heldout, generated, NOT_REAL)
    least = max(smallest_num_heldout(rate), LEAST_PATIENTS)
    if len(heldout) < least:
        raise InputError(
            f"heldout={heldout.folder}: {len(heldout)} volumes; a false-positive rate of {rate:g} needs at least "
            f"{least}, and several hundred for a threshold that is sharp"
        )
    for folder, num in ((heldout, LEAST_PATIENTS), (train, 2)):
        if len(set(folder.patients)) < num:
            raise InputError(
                f"{folder.setting}={folder.folder}: {len(set(folder.patients))} patients; expected at least {num}"
            )


def smallest_num_heldout(rate: float) -> int:
    """Held-out volumes below which nothing could be flagged at this rate: the smallest p-value is 1 / (n + 1)."""
    return math.ceil(round(1 / rate, 9)) - 1


def require_other_images(
    originals: AuditedFolder,
    others: AuditedFolder,
    distance: Float64[np.ndarray, "others originals"],
    usual: float,
    why: str,
) -> None:
    """Refuses volumes that are those of another folder in other files: packed anew, or under another header.

    Args:
        originals: one folder.
        others: the one whose volumes must be others.
        distance: of each of its volumes to each original.
        usual: distance between volumes of different patients.
        why: they must be.

    Raises:
        InputError: naming both.
    """
    index, nearest = np.unravel_index(distance.argmin(), distance.shape)
    if distance[index, nearest] < SAME_IMAGE * usual:
        raise InputError(
            f"{others.setting}={others.folder}: {others.volumes[index].name} holds the image of "
            f"{originals.volumes[nearest].name} of {originals.setting}={originals.folder}; remove it, {why}"
        )


def _require_apart(first: AuditedFolder, second: AuditedFolder) -> None:
    one, other = first.folder.resolve(), second.folder.resolve()
    if one == other or one in other.parents or other in one.parents:
        what = "are one folder" if one == other else "lie in each other"
        raise InputError(
            f"{first.setting}={first.folder} and {second.setting}={second.folder}: {what}; expected volumes apart from "
            "each other"
        )


def _require_unseen(train: AuditedFolder, heldout: AuditedFolder) -> None:
    _require_other_files(train, heldout, UNSEEN)
    patients = {volume.patient: volume.name for volume in train.volumes}
    for volume in heldout.volumes:
        if train.table is not None and heldout.table is not None and volume.patient in patients:
            raise InputError(
                f"heldout={heldout.folder}: {volume.name} and {patients[volume.patient]} of train={train.folder} are "
                "of one patient; remove it, a held-out patient must not have trained the model"
            )


def _require_other_files(originals: AuditedFolder, others: AuditedFolder, why: str) -> None:
    contents = {volume.content: volume.name for volume in originals.volumes}
    for volume in others.volumes:
        if volume.content in contents:
            raise InputError(
                f"{others.setting}={others.folder}: {volume.name} is the file {contents[volume.content]} of "
                f"{originals.setting}={originals.folder}; remove it, {why}"
            )
