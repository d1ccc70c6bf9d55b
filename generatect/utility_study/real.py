"""The real volumes: which of them train, and which patients are kept to judge by."""

from collections.abc import Sequence
from dataclasses import dataclass

from generatect.ct.preset import Preset
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.pairs import Pairs
from generatect.data.split import split_by_patient
from generatect.errors import InputError
from generatect.utility_study.items import Item, ItemPairs, items_of

ON_BOTH_SIDES = "nobody may be trained on and judged by"
NOT_REAL = "a synthetic volume must not be a real one"


@dataclass(frozen=True)
class RealVolumes:
    """Real volumes that share no patient.

    Attributes:
        train: what classifiers may be trained on.
        test: what all of them are judged on.
    """

    train: list[Item]
    test: list[Item]


def labels_of_study(pairs: Pairs, wanted: Sequence[str]) -> list[str]:
    """The findings that classifiers learn: those that are wanted, or else all that the first real volume has.

    Raises:
        InputError: no labels, or one that the volumes lack.
    """
    own = pairs.labels(0)
    if not own:
        raise InputError("data: the real volumes have no labels; name their columns with data.label_columns=[…]")
    if unknown := [name for name in wanted if name not in own]:
        raise InputError(f"labels: {unknown[0]!r} is none of the real volumes'; they have {', '.join(own)}")
    if len(set(wanted)) < len(wanted):
        raise InputError("labels: one is named twice; expected each once")
    return list(wanted) or list(own)


def split_real(
    pairs: Pairs,
    labels: Sequence[str],
    *,
    test_fraction: float,
    seed: int,
    num_train: int | None,
    num_test: int | None,
) -> RealVolumes:
    """Real volumes to train and to test on, split by patient as trainings split theirs.

    Args:
        pairs: the real volumes.
        labels: the findings of the study.
        test_fraction: share of the patients to test on, where the data do not say themselves who validates.
        seed: of the split.
        num_train: at most so many volumes to train on; None takes all.
        num_test: at most so many to test on; None takes all.

    Raises:
        InputError: nobody on a side, or a volume without labels.
    """
    everyone = range(len(pairs))
    sides = split_by_patient(
        [pairs.patient(index) for index in everyone],
        given=[pairs.split(index) for index in everyone],
        val_fraction=test_fraction,
        seed=seed,
    )
    train, test = sides["train"][:num_train], sides["val"][:num_test]
    for side, indices in (("train", train), ("test", test)):
        if not indices:
            raise InputError(
                f"data: none of {len(pairs)} real volumes to {side} on; change test_fraction={test_fraction}, or the "
                "patients that the data themselves keep for validation"
            )
    return RealVolumes(items_of(pairs, train, labels, "real"), items_of(pairs, test, labels, "real"))


def refuse_same_volumes(
    first: Sequence[Item], second: Sequence[Item], grid: Preset, cache: ArrayCache, why: str
) -> None:
    """Refuses a volume that is one of the others, by what a classifier sees of it, however its file is stored.

    Args:
        first: volumes whose arrays are in the cache.
        second: likewise.
        grid: what a classifier sees a volume on.
        cache: of the arrays.
        why: a volume may not be in both.

    Raises:
        InputError: naming both volumes.
    """
    names = {content: item for content, item in zip(_arrays(second, grid, cache), second, strict=True)}
    for content, item in zip(_arrays(first, grid, cache), first, strict=True):
        if (other := names.get(content)) is not None:
            raise InputError(
                f"volume {item.source.name(item.index)!r}: holds the voxels of {other.source.name(other.index)!r}; "
                f"{why}, take it out of its table"
            )


def _arrays(items: Sequence[Item], grid: Preset, cache: ArrayCache) -> list[tuple[int, ...]]:
    """Checksums of each volume's array."""
    inputs = ModelInputs(ItemPairs(items), grid, cache)
    return [cache.checksums(inputs.array_key(place)) for place in range(len(items))]


def refuse_overlap(training: Sequence[Item], test: Sequence[Item]) -> None:
    """Refuses a volume to train on that is a test patient's, by its patient or by its content.

    Raises:
        InputError: naming the volume.
    """
    patients, contents = {item.patient for item in test}, {item.fingerprint for item in test}
    for item in training:
        if item.patient in patients or item.fingerprint in contents:
            raise InputError(
                f"volume {item.source.name(item.index)!r}: is to train on and is one of the test patients'; nobody may "
                "be on both sides, take it out of its table"
            )
