"""Whether the rescaling to HU was done once, twice or never, told by where tissue and air lie."""

import numpy as np
from jaxtyping import Shaped

OFFSET_HU = 1024
"""What nearly every scanner adds: the common intercept is -1024."""

TISSUE_WIDTH_HU = 200
MIN_TISSUE, MAX_STRAY = 0.1, 0.02
MIN_AIR, MAX_STRAY_AIR = 0.1, 0.005
AIR_HU = (-1200.0, -500.0)
"""Air and lung; what lies below marks the outside of a round field of view."""


def seen_scaling(hu: Shaped[np.ndarray, "z y x"]) -> str:
    """How often the values were scaled, where that is not once.

    Args:
        hu: a coarse volume.

    Returns:
        "twice" where tissue lies near -1024 HU and air far below, "never" where it lies near +1024 HU without air; ""
        in every other case: soft tissue near 0 HU, or too little of anything to tell.
    """
    far_below = _share(hu, -np.inf, -1.5 * OFFSET_HU)
    if _share_near(hu, 0) <= MAX_STRAY and _share_near(hu, -OFFSET_HU) >= MIN_TISSUE and far_below >= MIN_AIR:
        return "twice"
    if _share(hu, *AIR_HU) <= MAX_STRAY_AIR and _share_near(hu, OFFSET_HU) >= MIN_TISSUE:
        return "never"
    return ""


def _share_near(hu: Shaped[np.ndarray, "z y x"], centre: int) -> float:
    """Share of the voxels that soft tissue has when water lies at `centre`."""
    return _share(hu, float(centre - TISSUE_WIDTH_HU), float(centre + TISSUE_WIDTH_HU))


def _share(hu: Shaped[np.ndarray, "z y x"], low: float, high: float) -> float:
    """Share of the voxels between two values."""
    return float(((hu > low) & (hu < high)).mean())
