"""What a comparison needs, asked before a detector is loaded or a voxel is read."""

from collections.abc import Sequence

from generatect.errors import InputError
from generatect.evaluation.presets import EvaluationPreset
from generatect.evaluation.volumes import EvaluatedFolder, require_different, require_one_grid
from generatect.metrics.z_continuity import MIN_SLICES

METRICS = ("fid", "fvd", "kid", "kvd", "fid_2.5d", "hu_histogram", "z_continuity", "clip_score", "psnr", "ssim")
"""`kid` and `kvd` are the kernel distances of the features of `fid` and `fvd`."""
GRIDS = ("one", "fake", "any")
"""One grid for all files or none of it; real volumes resampled to the grid of the generated ones; as they are."""
PAIRED = ("psnr", "ssim")


def require_comparable(
    real: EvaluatedFolder, fake: EvaluatedFolder, metrics: Sequence[str], preset: EvaluationPreset, grid: str
) -> None:
    """Everything that can be refused before a detector is loaded or a voxel is read; arguments as in `compare`.

    Raises:
        InputError: unknown names, real volumes among the generated ones, different grids, or too few volumes, prompts
            or partners.
    """
    if odd := [name for name in metrics if name not in METRICS]:
        raise InputError(f"metrics={odd[0]}: no such metric; known: {', '.join(METRICS)}")
    if not metrics or len(set(metrics)) < len(metrics):
        raise InputError(f"metrics={list(metrics)}: expected one or more of {', '.join(METRICS)}, each once")
    if grid not in GRIDS:
        raise InputError(f"grid={grid}: expected one of {', '.join(GRIDS)}")
    require_different(real, fake)
    if grid != "any":
        require_one_grid((fake,) if grid == "fake" else (real, fake))
    _require_enough(real, fake, metrics, preset)


def _require_enough(
    real: EvaluatedFolder, fake: EvaluatedFolder, metrics: Sequence[str], preset: EvaluationPreset
) -> None:
    """Refuses what has too few volumes, prompts or partners, before anything is measured."""
    two_sample = [name for name in metrics if name not in (*PAIRED, "clip_score")]
    for folder in (real, fake):
        if two_sample and len(folder.volumes) < 2:
            raise InputError(
                f"{folder.setting}={folder.folder}: {len(folder.volumes)} volume; {two_sample[0]} needs at least 2 on "
                "each side, and an FID or FVD that means something more than the features are wide"
            )
    if two_sample and preset.floor_splits and len(real.volumes) < 4:
        raise InputError(
            f"real={real.folder}: {len(real.volumes)} volumes; the floor compares halves of the real volumes and needs "
            "at least 4, add volumes or evaluation.floor_splits=0"
        )
    if "z_continuity" in metrics:
        for volume in (*real.volumes, *fake.volumes):
            if volume.grid.shape_zyx[0] < MIN_SLICES:
                raise InputError(
                    f"{volume.path}: {volume.grid.shape_zyx[0]} slices; z_continuity needs at least {MIN_SLICES}, "
                    "leave the metric out"
                )
    if "clip_score" in metrics:
        without = [volume.name for volume in fake.volumes if volume.prompt is None]
        if without or len(fake.volumes) < 2:
            raise InputError(
                f"fake={fake.folder}: {len(without)} of {len(fake.volumes)} volumes have no prompt "
                f"({', '.join(without[:3])}); clip_score needs at least 2 volumes, each with NAME.json "
                "or a row in prompts.csv"
            )
    if set(PAIRED) & set(metrics):
        names = {volume.name for volume in real.volumes}
        if alone := [volume.name for volume in fake.volumes if volume.name not in names]:
            raise InputError(
                f"fake={fake.folder}: {len(alone)} of {len(fake.volumes)} volumes have no real one of their name "
                f"({', '.join(alone[:3])}); psnr and ssim compare NAME with NAME"
            )
