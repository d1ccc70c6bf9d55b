"""Folders of small volumes, and presets as the configuration holds them."""

import json
from pathlib import Path

import numpy as np
import yaml

from generatect.config.resolvers import config_folder
from generatect.ct.grid import Grid
from generatect.ct.nifti import write_nifti
from generatect.ct.volume import CTVolume
from generatect.evaluation.presets import EvaluationPreset

SPACING = (3.0, 2.0, 2.0)


def write_volume(path: Path, voxels_hu: np.ndarray, prompt: str | None = None, **sidecar: object) -> Path:
    """Writes a volume, and a sidecar where a prompt is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = Grid(voxels_hu.shape, sidecar.pop("spacing", SPACING))
    write_nifti(path, CTVolume(voxels_hu.astype(np.float32), grid.affine()))
    if prompt is not None or sidecar:
        content = {"prompt": prompt, **sidecar}
        path.with_name(path.name.removesuffix(".nii.gz") + ".json").write_text(json.dumps(content))
    return path


def noise(seed: int, *shape: int, spread: float = 300.0) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).normal(0, spread, shape))


def write_folder(
    folder: Path, num: int, seed: int, shape: tuple[int, int, int] = (20, 16, 16), prompts: bool = True
) -> Path:
    """Writes volumes v0, v1, … of noise around a level of their own."""
    for index in range(num):
        voxels = noise(100 * seed + index, *shape) + 40 * index
        write_volume(folder / f"v{index}.nii.gz", voxels, f"report {index} of {seed}." if prompts else None)
    return folder


def preset_of(name: str, **changes: object) -> EvaluationPreset:
    """The preset of a YAML, with some settings changed."""
    content = yaml.safe_load((config_folder() / "evaluation" / f"{name}.yaml").read_text(encoding="utf-8"))
    del content["_target_"]
    return EvaluationPreset(**content | changes)
