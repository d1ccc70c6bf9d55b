"""The synthetic volumes: a dataset in a folder, or made here of the real training patients' reports."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from generatect.config.check import check_arguments
from generatect.ct.preset import Preset
from generatect.ct.volume import CTVolume
from generatect.ct.volume_files import ARRAY
from generatect.data.archive import ArchivePairs
from generatect.data.layouts.folder import FolderLayout
from generatect.data.layouts.npz import NpzLayout
from generatect.data.pairs import Pairs
from generatect.data.rows import read_rows
from generatect.errors import InputError
from generatect.pipeline import TextToCT, TokenOptions
from generatect.utility_study.items import Item, items_of


@dataclass(frozen=True)
class Synthetic:
    """Where synthetic volumes come from.

    Attributes:
        root: folder of a dataset; None: they are made here.
        table: its table with volume, patient, text and the labels; None: `ROOT/table.csv`.
        num: volumes that count as one time; None: as many as there are real ones to train on.
        weights: which model makes them here.
        tokens: how it samples.
        batch_size: volumes that are sampled together.
        seed: of the order of the reports, and of the first volume.
        t5: folder or Hub id of the T5 in place of the one that the weights name.
        arrays: range, axes and spacing_mm of a dataset of `.npz`; see `NpzLayout`.
    """

    root: str | None = None
    table: str | None = None
    num: int | None = None
    weights: str | dict[str, str] = "phantom"
    tokens: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 16
    seed: int = 0
    t5: str | None = None
    arrays: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_arguments(TokenOptions, self.tokens, "synthetic.tokens")
        if self.root is None and self.table is not None:
            raise InputError("synthetic.table: needs the folder of its volumes; add synthetic.root=DIR")


def read_synthetic(wanted: Synthetic, num: int, labels: Sequence[str]) -> list[Item]:
    """The first `num` volumes of a dataset.

    Raises:
        InputError: the folder or its table cannot be used, lacks a label, or has fewer volumes.
    """
    assert wanted.root is not None
    table = wanted.table or f"{wanted.root}/table.csv"
    header, _ = read_rows(Path(table).expanduser(), "a table with columns volume, patient, text and the labels")
    if missing := [name for name in labels if name not in header]:
        raise InputError(
            f"{table}: {len(missing)} of the {len(labels)} labels of the real volumes are no columns of it, first "
            f"{missing[0]!r}; generate from prompts that have them, or choose others with labels=[…]"
        )
    source = _dataset(wanted.root, table, labels, wanted.arrays)
    if len(source) < num:
        raise InputError(
            f"synthetic.root={wanted.root}: has {len(source)} volumes and the sets need {num}; lower synthetic.num or "
            "the N of Nx in sets, or generate more"
        )
    return items_of(source, range(num), labels, "synthetic")


def _dataset(root: str, table: str, labels: Sequence[str], arrays: Mapping[str, Any]) -> ArchivePairs:
    """Volumes in a folder: arrays where there are any, as in GenerateCT's dataset."""
    if not any(Path(root).expanduser().rglob(f"*{ARRAY}")):
        return ArchivePairs(layout=FolderLayout(root=root, table=table, label_columns=labels))
    settings = {"root": root, "table": table, "label_columns": list(labels), **arrays}
    check_arguments(NpzLayout, settings, "synthetic.arrays")
    return ArchivePairs(layout=NpzLayout(**settings), assume_axes=arrays.get("axes"))


class MadePairs:
    """Volumes that a model makes when asked for, of reports and for their labels: see `Pairs`.

    They are of the model's low resolution, which is enough for a classifier that sees no finer grid. A batch is sampled
    together from a seed of its own; the last one is kept in memory, so that volumes asked for in order are made once.

    Args:
        model: makes them.
        prompts: (report, labels) of each volume.
        options: how tokens are sampled.
        batch_size: volumes that are sampled together.
        seed: of the first volume.

    Attributes:
        notice: what must be said of all of them, or None.
    """

    def __init__(
        self,
        model: TextToCT,
        prompts: Sequence[tuple[str, dict[str, int]]],
        options: TokenOptions,
        batch_size: int,
        seed: int,
    ) -> None:
        self.model, self.prompts, self.options = model, prompts, options
        self.batch_size, self.seed, self.notice = batch_size, seed, model.notice
        self._latest: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Number of volumes."""
        return len(self.prompts)

    def name(self, index: int) -> str:
        """Such as "made-000012"."""
        return f"made-{index:06d}"

    def patient(self, index: int) -> str:
        """Nobody: no two volumes are of one patient."""
        return f"synthetic-{index:06d}"

    def split(self, index: int) -> str:
        """They train."""
        return "train"

    def text(self, index: int) -> str:
        """The report that it was made of."""
        return self.prompts[index][0]

    def labels(self, index: int) -> dict[str, int]:
        """What the report says: what was asked for, whether or not it can be seen."""
        return self.prompts[index][1]

    def volume(self, index: int) -> CTVolume:
        """The CT on the model's low-resolution grid."""
        return self.model.preset.to_volume(self._made(index))

    def model_input(self, index: int, preset: Preset, upscaled: bool = False) -> Float[Tensor, "1 z y x"]:
        """The CT on a grid of the preset: as it was made where that is the model's own, or else resampled."""
        own = self.model.preset
        if not upscaled and (preset.name, preset.grid) == (own.name, own.grid):
            return self._made(index)
        return preset.to_model(own.to_volume(self._made(index)), upscaled)

    def fingerprint(self, index: int) -> str:
        """Changes with the weights, the options, and everything that was sampled together with it."""
        first = index - index % self.batch_size
        texts = [text for text, _ in self.prompts[first : first + self.batch_size]]
        parts = (self.model.hashes, asdict(self.options), self.seed, self.model.device.type, index, texts)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _made(self, index: int) -> Float[Tensor, "1 z y x"]:
        first = index - index % self.batch_size
        if self._latest is None or self._latest[0] != first:
            texts = [text for text, _ in self.prompts[first : first + self.batch_size]]
            volumes = self.model.sample_lowres(texts, (self.seed + first) % 2**32, self.options)
            self._latest = (first, volumes.float().cpu().clamp(-1, 1))
        return self._latest[1][index - first]


def prompts_of(training: Sequence[Item], num: int, seed: int) -> list[tuple[str, dict[str, int]]]:
    """Reports of the real training patients with their labels, each once before any comes again.

    So the synthetic volumes ask for what the real ones have: as often, together, and in the same words.

    Args:
        training: the real volumes to train on.
        num: prompts.
        seed: of the order.
    """
    random = np.random.default_rng(seed)
    order = np.concatenate([random.permutation(len(training)) for _ in range(-(-num // len(training)))])[:num]
    return [(training[place].text, training[place].labels) for place in order]


def make_synthetic(model: TextToCT, wanted: Synthetic, training: Sequence[Item], num: int) -> list[Item]:
    """Volumes of the real training patients' reports; made when they are asked for."""
    whole_batches = -(-num // wanted.batch_size) * wanted.batch_size  # so that more volumes leave the first ones alone
    prompts = prompts_of(training, whole_batches, wanted.seed)
    source: Pairs = MadePairs(model, prompts, TokenOptions(**wanted.tokens), wanted.batch_size, wanted.seed)
    return items_of(source, range(num), list(training[0].labels), "synthetic")
