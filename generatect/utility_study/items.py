"""Volumes of several sources as one: what a classifier of the study is trained or tested on."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.data.bad_volumes import BadVolumes
from generatect.data.cache import ArrayCache
from generatect.data.inputs import ModelInputs
from generatect.data.pairs import Pairs
from generatect.errors import InputError
from generatect.progress import Progress


@dataclass(frozen=True)
class Item:
    """A volume of some source.

    Attributes:
        source: where it comes from.
        index: its number there.
        patient: whose it is.
        labels: finding → 0 or 1, in the order of the study.
    """

    source: Pairs
    index: int
    patient: str
    labels: dict[str, int]

    @cached_property
    def fingerprint(self) -> str:
        """Of its content; asked of the source once, as it may read the file for it."""
        return self.source.fingerprint(self.index)

    @cached_property
    def text(self) -> str:
        """Its report; asked of the source once, as a phantom's takes longer to write than its array to read."""
        return self.source.text(self.index)


def items_of(source: Pairs, indices: Iterable[int], labels: Sequence[str], what: str) -> list[Item]:
    """The volumes of a source with the labels of the study.

    Args:
        source: where they come from.
        indices: which of them.
        labels: the findings, in the order of the study.
        what: "real" or "synthetic", for messages.

    Raises:
        InputError: a volume without labels, or without one of them.
    """
    found = []
    for index in indices:
        own = source.labels(index)
        if own is None:
            raise InputError(
                f"{what} volume {source.name(index)!r}: has no labels; name their columns, data.label_columns=[…] of "
                "the real ones, and see that both tables have them"
            )
        if missing := [name for name in labels if name not in own]:
            raise InputError(
                f"{what} volume {source.name(index)!r}: no label {missing[0]!r} among {', '.join(own)}; real and "
                "synthetic volumes need the same labels, choose with labels=[…]"
            )
        chosen = {name: own[name] for name in labels}
        found.append(Item(source, index, source.patient(index), chosen))
    return found


class ItemPairs:
    """Items as a source of pairs: see `Pairs`. All of them are for training, or all for testing."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items

    def __len__(self) -> int:
        """Number of items."""
        return len(self.items)

    def name(self, index: int) -> str:
        """Name of the volume in its source."""
        return self.items[index].source.name(self.items[index].index)

    def patient(self, index: int) -> str:
        """Whose scan it is."""
        return self.items[index].patient

    def split(self, index: int) -> None:
        """The study has split them already."""

    def text(self, index: int) -> str:
        """The report."""
        return self.items[index].text

    def labels(self, index: int) -> dict[str, int]:
        """Those of the study, in its order."""
        return self.items[index].labels

    def volume(self, index: int) -> CTVolume:
        """The CT on its own grid."""
        return self.items[index].source.volume(self.items[index].index)

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on a grid of the preset."""
        return self.items[index].source.model_input(self.items[index].index, preset, upscaled)

    def fingerprint(self, index: int) -> str:
        """Of the volume's content, asked of the source each time, as a file may change."""
        return self.items[index].source.fingerprint(self.items[index].index)


def prepared(
    items: Sequence[Item], preset: Preset, cache: ArrayCache, what: str, on_bad: str, skipped: str, show: Progress
) -> list[Item]:
    """Makes every volume's array, unless it is in the cache, and leaves out those that cannot be read.

    Args:
        items: the volumes.
        preset: how they come onto the classifier's grid.
        cache: where arrays are kept.
        what: is made, for the progress.
        on_bad: "raise", or "skip" to leave out what cannot be read.
        skipped: CSV that lists what was left out of these volumes; begun anew.
        show: is told of every volume.

    Raises:
        InputError: a volume cannot be read and none is to be left out.
    """
    inputs, usable = ModelInputs(ItemPairs(items), preset, cache), list[Item]()
    bad = BadVolumes(inputs.pairs.name, len(items), on_bad, skipped)
    bad.start()
    for number, item in enumerate(items):
        with bad.leaving_out(number):
            if not inputs.is_cached(number):
                inputs.keep(number)
            usable.append(item)
        show(what, number + 1, len(items))
    if bad.reasons:
        print(f"{what}: {len(bad.reasons)} of {len(items)} volumes cannot be read and are left out, see {skipped}")
    return usable


def content_of(items: Sequence[Item]) -> str:
    """Hash of the volumes, their labels and their order."""
    text = "\n".join(f"{item.fingerprint} {item.labels}" for item in items)
    return hashlib.sha256(text.encode()).hexdigest()
