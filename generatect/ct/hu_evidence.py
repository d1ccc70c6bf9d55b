"""What a sample of values says about them: whether air and soft tissue lie where Hounsfield units have them."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Num

PADDING_BELOW_HU = -1500
"""A lowest value below this is a scanner's mark for "outside the field of view", and says nothing about the scaling."""

AIR_BAND_HU = (-1100.0, -700.0)
SOFT_TISSUE_BAND_HU = (-150.0, 250.0)
MIN_AIR_SHARE, MIN_SOFT_TISSUE_SHARE, MAX_BELOW_AIR_SHARE = 0.01, 0.05, 0.1
"""Real crops of chest and abdomen have a third of air and half of soft tissue. Scaled twice, 0.4 % are soft tissue."""

NUM_SAMPLES = 1 << 18

FAR_ABOVE_HU, MAX_FAR_ABOVE_SHARE = 10_000, 0.01
"""Metal may lie above, but never fills a hundredth of a scan: padding of -2000 does, read as unsigned 63536."""


@dataclass(frozen=True)
class Evidence:
    """Shares of the voxels, padding left out, that are air or lung, soft tissue, and below air."""

    air: float
    soft_tissue: float
    below_air: float

    @property
    def is_ct(self) -> bool:
        """Air and soft tissue, and hardly anything below air."""
        return (
            self.air >= MIN_AIR_SHARE
            and self.soft_tissue >= MIN_SOFT_TISSUE_SHARE
            and self.below_air < MAX_BELOW_AIR_SHARE
        )

    @property
    def is_scaled_twice(self) -> bool:
        """Air far below air, and nothing where soft tissue should be."""
        return self.soft_tissue < MIN_SOFT_TISSUE_SHARE and self.below_air >= MAX_BELOW_AIR_SHARE


def sample_of(stored: Num[np.ndarray, "i j k"]) -> Float32[np.ndarray, " n"]:
    """At most twice `NUM_SAMPLES` values from all over an array, as float32."""
    flat = stored.reshape(-1, order="A")  # a view: arrays from files are contiguous in one order or the other
    step = max(1, flat.size // NUM_SAMPLES)
    while math.gcd(step, math.prod(stored.shape[:2])) > 1:  # or it would meet the same columns in every slice
        step += 1
    with np.errstate(over="ignore"):
        return flat[::step].astype(np.float32)


def share_far_above(hu: Num[np.ndarray, "z y x"]) -> float:
    """Share of the voxels that lie above any tissue and nearly all metal."""
    if hu.max() <= FAR_ABOVE_HU:
        return 0.0
    return int(np.count_nonzero(hu > FAR_ABOVE_HU)) / hu.size


def evidence_in(hu: Float32[np.ndarray, " n"]) -> Evidence:
    """Where the values of a sample lie, taken as HU."""
    lowest = hu.min()
    if lowest < PADDING_BELOW_HU:
        hu = hu[hu > lowest]
    air, soft_tissue, below_air = (
        int(np.count_nonzero((hu >= low) & (hu <= high))) / max(hu.size, 1)
        for low, high in (AIR_BAND_HU, SOFT_TISSUE_BAND_HU, (-np.inf, AIR_BAND_HU[0]))
    )
    return Evidence(air, soft_tissue, below_air)
