"""One detector per finding that reads the volume alone: ridge regression on pooled voxels of phantoms.

They measure whether a generated volume shows what its text names; their own power is measured on phantoms never seen.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64

from generatect.ct.arrays import DAMAGE
from generatect.ct.grid import Grid
from generatect.errors import InputError
from generatect.files import atomic_path
from generatect.phantom.case import PhantomCase, labels, sample_case
from generatect.phantom.features import blur, patchy, pool
from generatect.phantom.findings import LABELS
from generatect.phantom.render import render
from generatect.phantom.report import case_seed

MAX_BLUR = 1.3
MAX_PATCH_HU = 80.0
FIT_PREVALENCE = 0.4
RIDGE = 0.01


def truth(case: PhantomCase) -> Float64[np.ndarray, "k"]:
    """0 or 1 for every one of `LABELS`."""
    return np.array(list(labels(case).values()), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Detectors:
    """Linear detectors on one grid.

    Attributes:
        grid: the grid of the volumes they read.
        mean: of each feature over the phantoms of the fit.
        weights: features to scores, in the order of `LABELS`.
        bias: score of the mean phantom: the share of phantoms with the finding.
    """

    grid: Grid
    mean: Float64[np.ndarray, "f"]
    weights: Float64[np.ndarray, "f k"]
    bias: Float64[np.ndarray, "k"]

    @classmethod
    def fit(cls, grid: Grid, num: int = 3000, seed: int = 900, noise_hu: float = 60.0) -> "Detectors":
        """Fit on seeded phantoms, each a little blurred, patchy and noisy, so that the detectors bear a tokenizer.

        Args:
            grid: grid of the volumes to be read.
            num: phantoms; 3,000 take half a minute at 17 × 48 × 48.
            seed: of the phantoms; keep it away from those of training and proof.
            noise_hu: largest noise of a phantom in the fit.

        Raises:
            InputError: fewer than two phantoms.
        """
        if num < 2:
            raise InputError(f"detectors num={num}: expected at least 2 phantoms")
        generator = np.random.default_rng([seed, 6])
        features, targets = [], []
        for index in range(num):
            case = sample_case(case_seed(seed, index), FIT_PREVALENCE)
            voxels_hu = render(case, grid, noise_hu * generator.random()).voxels_hu
            voxels_hu = voxels_hu + MAX_PATCH_HU * generator.random() * patchy(grid.shape_zyx, generator)
            features.append(pool(blur(voxels_hu, MAX_BLUR * generator.random())))
            targets.append(truth(case))
        weights, mean, bias = ridge(np.stack(features), np.stack(targets), RIDGE)
        return cls(grid, mean, weights, bias)

    def scores(self, voxels_hu: Float[np.ndarray, "z y x"]) -> dict[str, float]:
        """Score of every detector on one volume; higher means more likely there.

        Raises:
            InputError: the volume is not on the detectors' grid.
        """
        return {key: float(values[0]) for key, values in self.score_batch(voxels_hu[None]).items()}

    def score_batch(self, volumes_hu: Float[np.ndarray, "b z y x"]) -> dict[str, np.ndarray]:
        """Scores of a batch, each [b].

        Raises:
            InputError: the volumes are not on the detectors' grid.
        """
        if volumes_hu.shape[1:] != self.grid.shape_zyx:
            raise InputError(f"volumes of shape {volumes_hu.shape[1:]}: the detectors read {self.grid.shape_zyx}")
        features = np.stack([pool(np.asarray(volume, dtype=np.float32)) for volume in volumes_hu])
        scores = (features - self.mean) @ self.weights + self.bias
        return dict(zip(LABELS, scores.T, strict=True))

    def save(self, path: str | Path) -> None:
        """Write as npz without pickled objects."""
        with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                names=np.array(LABELS),
                shape_zyx=self.grid.shape_zyx,
                spacing_mm_zyx=self.grid.spacing_mm_zyx,
                mean=self.mean,
                weights=self.weights,
                bias=self.bias,
            )

    @classmethod
    def load(cls, path: str | Path) -> "Detectors":
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or holds other detectors.
        """
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; expected detectors written by Detectors.save")
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
                values = {name: file[name] for name in file.files}
        except DAMAGE as error:
            raise InputError(f"{path}: damaged; fit the detectors again") from error
        if tuple(values.get("names", ())) != LABELS:
            raise InputError(f"{path}: holds other detectors than {', '.join(LABELS)}; fit them again")
        depth, rows, columns = (int(size) for size in values["shape_zyx"])
        z, y, x = (float(spacing) for spacing in values["spacing_mm_zyx"])
        return cls(Grid((depth, rows, columns), (z, y, x)), values["mean"], values["weights"], values["bias"])


def separations(
    truths: Float64[np.ndarray, "n k"], scores: Mapping[str, np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores of those with and without, per detector, ready for `auroc`.

    Keys are `LABELS`, and "NAME/left|right" for the control of each sided finding: the left detector between
    phantoms with the finding on the right alone and phantoms without it, which it should not tell apart (0.5).
    """
    result = {}
    has = dict(zip(LABELS, truths.T > 0, strict=True))
    for key in LABELS:
        result[key] = (scores[key][has[key]], scores[key][~has[key]])
        name, _, side = key.partition("/")
        if side:
            other = "right" if side == "left" else "left"
            only_other = has[f"{name}/{other}"] & ~has[key]
            result[f"{key}|{other}"] = (scores[key][only_other], scores[key][~has[name]])
    return result


def ridge(
    features: Float64[np.ndarray, "n f"], targets: Float64[np.ndarray, "n k"], strength: float
) -> tuple[Float64[np.ndarray, "f k"], Float64[np.ndarray, "f"], Float64[np.ndarray, "k"]]:
    """Ridge regression in closed form, by the dual (there are more features than phantoms).

    Args:
        features: one row per phantom.
        targets: one column per detector.
        strength: penalty relative to the mean squared length of the centred features.

    Returns:
        Weights, mean of the features, mean of the targets.
    """
    mean, bias = features.mean(0), targets.mean(0)
    centred = features - mean
    gram = centred @ centred.T
    gram[np.diag_indices_from(gram)] += strength * np.trace(gram) / len(gram)
    return centred.T @ np.linalg.solve(gram, targets - bias), mean, bias
