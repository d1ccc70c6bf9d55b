"""The four methods of the results table: what each is compared with, and its numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from generatect.ct.nifti import read_nifti
from generatect.evaluation.compare import Tools, compare
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.rows import Row
from generatect.evaluation.sampling import (
    GENERATED,
    GENERATED_LOWRES,
    REAL,
    REAL_LOWRES,
    RECONSTRUCTED,
    UPSCALED,
)
from generatect.evaluation.volumes import read_folder
from generatect.metrics.hu_histogram import hu_histogram
from generatect.progress import Progress

MEASURED = ("fid", "fvd", "kid", "kvd", "fid_2.5d", "hu_histogram", "z_continuity")


@dataclass(frozen=True)
class Method:
    """A row of the table before it is measured.

    Attributes:
        name: as in the paper.
        what: what is compared, in a few words.
        real: kind of the real volumes.
        fake: kind of the volumes that the method makes.
        dimension: "2D" or "3D".
        text_guided: whether a report guides it.
        is_paired: every volume is made from the real one of its name, so that PSNR and SSIM mean something.
    """

    name: str
    what: str
    real: str
    fake: str
    dimension: str
    text_guided: bool
    is_paired: bool


METHODS = (
    Method("CT-ViT", "reconstructions", REAL_LOWRES, RECONSTRUCTED, "3D", False, True),
    Method("Transformer", "low-resolution volumes from reports", REAL_LOWRES, GENERATED_LOWRES, "3D", True, False),
    Method("Diffusion", "real low-resolution slices, refined", REAL, UPSCALED, "2D", True, True),
    Method("GenerateCT", "volumes from reports, all stages", REAL, GENERATED, "3D", True, False),
)


def measure_method(
    method: Method,
    folder: Path,
    preset: EvaluationPreset,
    tools: Tools,
    *,
    say: Callable[[str], None],
    progress: Progress,
) -> Row:
    """The numbers of one method.

    Args:
        method: which one.
        folder: holds a folder of each kind of volumes.
        preset: protocol of the evaluation.
        tools: detectors, CLIP (None: no CLIP score) and cache.
        say: takes lines for the terminal.
        progress: told of the progress.

    Raises:
        InputError: as `compare`.
    """
    real, fake = read_folder(folder / method.real, "real"), read_folder(folder / method.fake, "fake")
    metrics = [*MEASURED]
    if method.is_paired:
        metrics += ["psnr", "ssim"]
    if method.text_guided and tools.clip is not None:
        metrics.append("clip_score")
    results = compare(real, fake, metrics=metrics, preset=preset, tools=tools, say=say, progress=progress)
    return Row(
        method=method.name,
        what=method.what,
        resolution=fake.grid.shape_zyx[1],
        dimension=method.dimension,
        text_guided=method.text_guided,
        results={result.metric: result for result in results},
    )


def mean_histogram(paths: Sequence[Path]) -> np.ndarray:
    """Share of the voxels at each whole HU, every volume counting alike."""
    return np.mean([hu_histogram(read_nifti(path, hu_policy="already_hu").voxels_hu) for path in paths], axis=0)
