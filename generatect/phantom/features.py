"""What detectors read in a volume: area averages of its HU; and the defects that they are trained to bear."""

import numpy as np
from jaxtyping import Float32, Float64

from generatect.ct.intensity import HU_RANGE

POOLED_SHAPE = (17, 24, 24)
"""Voxels are averaged to at most this many: about 16 mm in each direction."""

PATCHES = (9, 6, 6)

LUNG_CEILING_HU, BONE_FLOOR_HU = -200.0, 250.0
"""Besides the mean HU, the mean of what lies below and above these: aerated lung, and bone, calcium and metal."""


def pool(voxels_hu: Float32[np.ndarray, "z y x"]) -> Float64[np.ndarray, "f"]:
    """Area averages of a volume's HU (clipped to the model's range), of its lung part and of its bone part."""
    clipped = voxels_hu.clip(*HU_RANGE)
    parts = (clipped / 1000, (clipped.clip(max=LUNG_CEILING_HU) + 1000) / 250, clipped.clip(min=BONE_FLOOR_HU) / 250)
    features = []
    for part in parts:
        pooled = part
        for axis, size in enumerate(POOLED_SHAPE):
            weights = _area_weights(part.shape[axis], min(size, part.shape[axis]))
            pooled = np.moveaxis(np.tensordot(pooled, weights, axes=(axis, 1)), -1, axis)
        features.append(pooled.ravel())
    return np.concatenate(features).astype(np.float64)


def _area_weights(num_in: int, num_out: int) -> Float32[np.ndarray, "o i"]:
    """Matrix that averages `num_in` equal intervals to `num_out` equal intervals."""
    edges_in, edges_out = np.arange(num_in + 1) / num_in, np.arange(num_out + 1) / num_out
    upper = np.minimum(edges_out[1:, None], edges_in[None, 1:])
    lower = np.maximum(edges_out[:-1, None], edges_in[None, :-1])
    return (np.maximum(upper - lower, 0) * num_out).astype(np.float32)


def blur(voxels: Float32[np.ndarray, "z y x"], amount: float) -> Float32[np.ndarray, "z y x"]:
    """Mix every voxel with the mean of its two neighbours along each axis: (1 - a/2) v + a/2 (before + after) / 2."""
    for axis in range(3):
        padded = np.pad(voxels, [(1, 1) if other == axis else (0, 0) for other in range(3)], mode="edge")
        size = voxels.shape[axis]
        before, after = padded.take(range(size), axis), padded.take(range(2, size + 2), axis)
        voxels = np.float32(1 - amount / 2) * voxels + np.float32(amount / 4) * (before + after)
    return voxels


def patchy(shape_zyx: tuple[int, int, int], generator: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Standard normal offsets, one for each of 9 × 6 × 6 blocks: a tokenizer errs by patches."""
    blocks = generator.standard_normal(PATCHES, dtype=np.float32)
    index = [np.arange(size) * num // size for size, num in zip(shape_zyx, PATCHES, strict=True)]
    return blocks[np.ix_(*index)]
