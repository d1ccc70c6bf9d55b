"""All cells of the study: each set with each seed, kept as soon as it is done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from generatect.ct.preset import Preset
from generatect.progress import Progress
from generatect.utility_study.cell import Recipe, train_and_score
from generatect.utility_study.items import Item, content_of
from generatect.utility_study.kept import cell_path, keep_cell, key_of, read_cell
from generatect.utility_study.real import RealVolumes
from generatect.utility_study.sets import TrainingSet


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        recipe: how every classifier is trained.
        grid: what the classifiers see a volume on.
        sets: what they are trained on.
        seeds: of each set's trainings.
        real: volumes to train and to test on.
        synthetic: volumes to train on, as many as the largest set needs.
        num_synthetic: of them count as one time.
        folder: where scores are kept.
    """

    recipe: Recipe
    grid: Preset
    sets: Sequence[TrainingSet]
    seeds: Sequence[int]
    real: RealVolumes
    synthetic: Sequence[Item]
    num_synthetic: int
    folder: Path

    def synthetic_of(self, chosen: TrainingSet) -> Sequence[Item]:
        """The synthetic volumes of a set: the first ones, so that a larger set holds a smaller one."""
        return self.synthetic[: chosen.num_times * self.num_synthetic]

    def training(self, chosen: TrainingSet) -> list[Item]:
        """The volumes of a set."""
        return [*(self.real.train if chosen.has_real else []), *self.synthetic_of(chosen)]

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Set → real and synthetic volumes in it."""
        return {
            chosen.name: (len(self.real.train) if chosen.has_real else 0, len(self.synthetic_of(chosen)))
            for chosen in self.sets
        }

    def labels(self) -> Bool[np.ndarray, "n k"]:
        """Which test volume has which finding."""
        return np.array([[item.labels[name] == 1 for name in self.recipe.labels] for item in self.real.test])

    def cells(self) -> Iterator[tuple[TrainingSet, int, Path, str]]:
        """(set, seed, file, key) of every cell; a seed of every set before the next seed."""
        test = content_of(self.real.test)
        contents = {chosen: content_of(self.training(chosen)) for chosen in self.sets}
        for seed in self.seeds:
            for chosen in self.sets:
                deciding = {**self.recipe.deciding(), "training": contents[chosen], "test": test, "seed": seed}
                yield chosen, seed, cell_path(self.folder, chosen.name, seed), key_of(deciding)

    def kept(self, path: Path, key: str) -> Float[np.ndarray, "n k"] | None:
        """The scores of a cell that is done."""
        return read_cell(path, key, (len(self.real.test), len(self.recipe.labels)))

    def num_to_train(self) -> int:
        """Cells that are still to be done."""
        return sum(self.kept(path, key) is None for _, _, path, key in self.cells())


def run_cells(study: Study, show: Progress) -> dict[str, Float[np.ndarray, "seeds n k"]]:
    """Trains what is not there yet.

    Returns:
        Set → what each seed's classifier gives each test volume and finding.
    """
    found: dict[str, list[np.ndarray]] = {chosen.name: [] for chosen in study.sets}
    num_cells = len(study.sets) * len(study.seeds)
    for done, (chosen, seed, path, key) in enumerate(study.cells()):
        show("classifiers", done, num_cells)
        scores = study.kept(path, key)
        if scores is None:
            scores = train_and_score(study.recipe, study.training(chosen), study.real.test, seed, show)
            keep_cell(path, key, scores)
        found[chosen.name].append(scores)
    show("classifiers", num_cells, num_cells)
    return {name: np.stack(scores) for name, scores in found.items()}
