"""A share of volumes, and how far it can be trusted."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Proportion:
    """So many of so many.

    Attributes:
        count: that have the property.
        num: of all; at least 1.
    """

    count: int
    num: int

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.num

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval by the score test (Wilson, JASA 1927, eq. 2): it has a width at 0 and at 1, too."""
        squared = Z_95**2 / self.num
        middle = (self.value + squared / 2) / (1 + squared)
        half = Z_95 * math.sqrt(self.value * (1 - self.value) / self.num + squared / self.num / 4) / (1 + squared)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        """Such as "12 of 40 (30 % [18, 45])"."""
        low, high = self.interval
        return f"{self.count} of {self.num} ({100 * self.value:.0f} % [{100 * low:.0f}, {100 * high:.0f}])"


def percent(share: float) -> str:
    """Such as "5 %" or "0.5 %"."""
    return f"{round(100 * share, 1):g} %"
