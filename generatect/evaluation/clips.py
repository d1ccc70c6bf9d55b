"""From a volume in HU to what detectors read: grey values 0..255, slices and clips of slices, grey repeated to RGB."""

import hashlib

import numpy as np
import torch
from einops import repeat
from jaxtyping import Shaped, UInt8
from torch import Tensor

from generatect.ct.intensity import WINDOWS, window
from generatect.evaluation.presets import EvaluationPreset
from generatect.metrics.fid_2p5d import PLANES


def to_grey(
    voxels_hu: Shaped[np.ndarray, "z y x"], hu_range: tuple[float, float] | list[float]
) -> UInt8[np.ndarray, "z y x"]:
    """HU → 0..255: the range's lower end is 0, its upper end 255, rounded; beyond it is clipped."""
    low, high = hu_range
    return np.rint(window(voxels_hu, high - low, (low + high) / 2) * 255).astype(np.uint8)


def clips(
    voxels_hu: Shaped[np.ndarray, "z y x"], preset: EvaluationPreset, side: str, key: str
) -> UInt8[Tensor, "n 3 t y x"]:
    """Clips of consecutive axial slices, from inferior to superior, for a video detector; none if there are too few.

    Args:
        voxels_hu: a canonical volume.
        preset: length, number and place of the clips.
        side: "real" or "fake".
        key: what stands for the volume; the same key and seed give the same offsets, whichever volumes come before.
    """
    grey = to_grey(voxels_hu, preset.hu_range)
    length, num_offsets = preset.clip_length, len(grey) - preset.clip_length + 1
    if num_offsets < 1:
        return torch.zeros((0, 3, length, *grey.shape[1:]), dtype=torch.uint8)
    offsets = [0] * preset.clips_per_volume
    if preset.offset_of(side) == "random":
        offsets = _generator(preset.seed, "clips", key).integers(num_offsets, size=preset.clips_per_volume).tolist()
    found = np.stack([grey[offset : offset + length] for offset in offsets])
    return repeat(torch.from_numpy(found), "n t y x -> n c t y x", c=3).contiguous()


def slices(
    voxels_hu: Shaped[np.ndarray, "z y x"], preset: EvaluationPreset, key: str, plane: str = "axial"
) -> UInt8[Tensor, "n 3 rows columns"]:
    """Slices in order for an image detector: all of a volume, or as many as the preset takes, drawn without repeats.

    Args:
        voxels_hu: a canonical volume.
        preset: how many slices.
        key: as in `clips`.
        plane: "axial", "coronal" or "sagittal".
    """
    across = np.moveaxis(voxels_hu, PLANES.index(plane), 0)
    if preset.slices_per_volume is not None and preset.slices_per_volume < len(across):
        order = _generator(preset.seed, plane, key).permutation(len(across))
        across = across[np.sort(order[: preset.slices_per_volume])]
    return _rgb(to_grey(across, preset.hu_range))


def shown_slices(voxels_hu: Shaped[np.ndarray, "z y x"], preset: EvaluationPreset) -> UInt8[Tensor, "n 3 y x"]:
    """Axial slices in the preset's display window, evenly spaced, as CLIP sees them."""
    count = min(preset.clip_slices or len(voxels_hu), len(voxels_hu))
    chosen = ((np.arange(count) + 0.5) * len(voxels_hu) / count).astype(int)
    return _rgb(np.rint(window(voxels_hu[chosen], *WINDOWS[preset.clip_window]) * 255).astype(np.uint8))


def _rgb(grey: UInt8[np.ndarray, "n rows columns"]) -> UInt8[Tensor, "n 3 rows columns"]:
    return repeat(torch.from_numpy(np.ascontiguousarray(grey)), "n rows columns -> n c rows columns", c=3).contiguous()


def _generator(seed: int, purpose: str, key: str) -> np.random.Generator:
    """Draws that depend on the volume alone, so that features can be kept and files may come in any number."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
