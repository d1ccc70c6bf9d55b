"""The released models' preprocessing, kept to the last digit: their weights expect exactly this array (spec §4)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from generatect.ct.nifti import read_nifti_with_layout
from generatect.ct.volume_files import without_ending
from generatect.errors import InputError

REVERSED_MANUFACTURER = "PNMS"
"""Scans of this maker are stored head first, and turned round."""


def released_preprocess(
    path: str | Path, metadata: Mapping[str, Any] | None = None, num_slices: int = 201, size: int = 128
) -> Float[Tensor, "1 z y x"]:
    """Array that the original's loader makes of one file of stored values.

    Args:
        path: NIfTI whose values (header scaling applied) still need the metadata's slope and intercept.
        metadata: `RescaleSlope`, `RescaleIntercept`, `Manufacturer`; None: read from `<name>_metadata.json` beside it.
        num_slices: slices of the result.
        size: rows and columns of the result.

    Returns:
        Values in [-1, 1]; axes are the file's axis 2, 0 and 1.

    Raises:
        InputError: the file or its metadata is missing or unusable.
    """
    path = Path(path)
    metadata = _read_metadata(path) if metadata is None else metadata
    volume, layout = read_nifti_with_layout(path, hu_policy="unchecked")
    # The original cuts both numbers to integers, so an intercept of -1024.7 acts as -1024.
    slope, intercept = (_integer(metadata, key, path) for key in ("RescaleSlope", "RescaleIntercept"))
    array = layout.to_stored(volume.voxels_hu).astype(np.float32) * slope + intercept
    if metadata.get("Manufacturer") == REVERSED_MANUFACTURER:
        array = array[:, :, ::-1]
    return stretch(array, num_slices, size)


def stretch(hu: Shaped[np.ndarray, "rows columns slices"], num_slices: int, size: int) -> Float[Tensor, "1 z y x"]:
    """HU stretched to `num_slices` × `size` × `size` values in [-1, 1], whatever the spacing.

    Slices shrink with antialiasing (Pillow, BILINEAR, float); the stack is interpolated without.
    """
    planes = rearrange(np.clip(hu, -1000, 1000).astype(np.float32) / 1000, "rows columns slices -> slices rows columns")
    resized = [
        Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), Image.Resampling.BILINEAR) for plane in planes
    ]
    stack = torch.from_numpy(np.stack([np.asarray(image) for image in resized]))[None, None]
    return F.interpolate(stack, size=(num_slices, size, size), mode="trilinear", align_corners=False)[0]


def _read_metadata(path: Path) -> dict[str, Any]:
    """The JSON beside a NIfTI: `scan.nii.gz` → `scan_metadata.json`."""
    file = path.with_name(f"{without_ending(path.name)}_metadata.json")
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: expected a readable JSON of RescaleSlope, RescaleIntercept, Manufacturer") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{file}: expected a JSON object, found {type(metadata).__name__}")
    return metadata


def _integer(metadata: Mapping[str, Any], key: str, path: Path) -> int:
    """A number of the metadata, cut to an integer."""
    try:
        return int(float(metadata[key]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: metadata {key}={metadata.get(key)!r}, expected a number") from error
