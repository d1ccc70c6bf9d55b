"""Second evidence, from grey values alone: how alike two volumes are that have been laid upon each other."""

import numpy as np
from jaxtyping import UInt8

from generatect.ct.intensity import HU_RANGE
from generatect.ct.preview import BODY_THRESHOLD_HU

BODY_GREY = round((BODY_THRESHOLD_HU - HU_RANGE[0]) / (HU_RANGE[1] - HU_RANGE[0]) * 255)
"""Where the body begins, in the grey values of `TokenizerEmbedding`."""


def correlation(first: UInt8[np.ndarray, "z y x"], second: UInt8[np.ndarray, "z y x"]) -> float:
    """Pearson's correlation of the grey values wherever either volume has body; 0 where one of them is all of one grey.

    The air around, which is most of a volume and the same in all, would make everything alike. Brighter or of more
    contrast makes no difference.
    """
    body = (first >= BODY_GREY) | (second >= BODY_GREY)
    one, other = (values[body].astype(np.float64) for values in (first, second))
    if len(one) < 2 or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
