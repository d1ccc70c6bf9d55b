"""How stored values become Hounsfield units: which scaling holds, decided once per file, and its one application.

Archives differ in where the slope and intercept stand: in the header, in a table beside values that still need them,
or in a table beside values that have had them. Applied twice or not at all, they give a volume that looks like a CT
and is none; so "auto" asks the values themselves which reading has air and soft tissue where a CT has them.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int16, Num

from generatect.ct.hu_evidence import evidence_in, sample_of
from generatect.errors import InputError

HU_POLICIES = ("auto", "header", "metadata", "already_hu", "unchecked")
AIR_BELOW_HU = -300
"""The weakest sign of a chest: it holds lung and lies in air, so some voxel is below."""

ROUNDING_HU = 0.5
"""Scalings nearer than this are one: integers in storage are off by as much."""

RISK_HU = 2.0


@dataclass(frozen=True)
class Scaling:
    """Stored value · slope + intercept = HU."""

    slope: float
    intercept: float

    @property
    def is_usable(self) -> bool:
        """Whether the numbers can scale anything: tables hold NaN and 0."""
        return math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope != 0

    def distance_hu(self, other: "Scaling") -> float:
        """Largest difference for stored values between -1000 and 1000."""
        return abs(self.slope - other.slope) * 1000 + abs(self.intercept - other.intercept)

    def __str__(self) -> str:
        return f"slope {self.slope:g}, intercept {self.intercept:g}"


IDENTITY = Scaling(1.0, 0.0)


@dataclass(frozen=True)
class HUDecision:
    """What was done to the stored values of one file.

    Attributes:
        policy: "header", "metadata", "already_hu" or "unchecked".
        slope, intercept: what was applied, once.
        reason: why, for the doctor's report.
    """

    policy: str
    slope: float
    intercept: float
    reason: str


def require_policy(policy: str) -> None:
    """Refuses a policy that does not exist.

    Raises:
        InputError: naming those that do.
    """
    if policy not in HU_POLICIES:
        raise InputError(f"hu_policy={policy!r}: expected one of {', '.join(HU_POLICIES)}")


def decide_hu(
    stored: Num[np.ndarray, "i j k"], *, header: Scaling, metadata: Scaling | None, policy: str, path: Path
) -> HUDecision:
    """Which scaling makes HU of a file's stored values.

    Args:
        stored: values as they lie in the file.
        header: the file's own scaling; slope 1 and intercept 0 where it states none.
        metadata: the scaling that a table states for the file.
        policy: "header": by the header, and some voxel must be air. "metadata": by the table, whatever the header
            says. "already_hu": as stored, whatever both say. "unchecked": by the header, without a look at the values.
            "auto": the first of header, stored, table that has air and soft tissue where a CT has them.
        path: named in errors.

    Raises:
        InputError: no reading gives a CT, or the policy lacks what it needs.
    """
    require_policy(policy)
    if policy == "auto":
        usable = metadata if metadata is not None and metadata.is_usable else None
        return _decide_by_values(stored, header, usable, path)
    if policy == "metadata":
        if metadata is None or not metadata.is_usable:
            raise InputError(
                f"{path}: hu_policy=metadata, but a table gives {metadata or 'no slope and intercept for it'}; "
                "expected two finite numbers, the slope not 0, or another hu_policy"
            )
        return HUDecision(policy, metadata.slope, metadata.intercept, "as told: the table's scaling of stored values")
    if policy == "already_hu":
        return HUDecision(policy, 1.0, 0.0, "as told: stored values are HU")
    if policy == "header":
        _require_air(stored, header, path)
    return HUDecision(policy, header.slope, header.intercept, "as told: the header's scaling")


def to_hu(
    stored: Num[np.ndarray, "i j k"], decision: HUDecision
) -> Float32[np.ndarray, "i j k"] | Int16[np.ndarray, "i j k"]:
    """HU of stored values: int16 where that is exact, else float32. The array given may be overwritten."""
    shift = int(decision.intercept) if decision.slope == 1 and decision.intercept.is_integer() else None
    if shift is not None and stored.dtype.kind in "iu" and _fits_int16(stored, shift):
        # The cast and the sum wrap around at 2^16, and end at the true value because that fits.
        hu = stored.astype(np.int16, copy=False)  # the other byte order becomes this machine's
        if shift:
            hu += np.array(shift).astype(np.int16)
        return hu
    with np.errstate(over="ignore", invalid="ignore"):  # too large for float32 becomes infinite; the reader refuses it
        hu = stored.astype(np.float32, copy=False)
        if decision.slope != 1:
            hu *= np.float32(decision.slope)
        if decision.intercept != 0:
            hu += np.float32(decision.intercept)
    return hu


def _decide_by_values(stored: np.ndarray, header: Scaling, metadata: Scaling | None, path: Path) -> HUDecision:
    """The first reading of the values that looks like a CT."""
    if header.distance_hu(IDENTITY) < ROUNDING_HU:
        header = IDENTITY
    readings: list[tuple[str, Scaling]] = []
    for policy, scaling in (("header", header), ("already_hu", IDENTITY), ("metadata", metadata)):
        if scaling is not None and all(scaling.distance_hu(other) >= ROUNDING_HU for _, other in readings):
            readings.append((policy, scaling))

    sample = sample_of(stored)
    evidence = [evidence_in(_scaled(sample, scaling)) for _, scaling in readings]
    plausible = [reading for reading, seen in zip(readings, evidence, strict=True) if seen.is_ct]
    if plausible:
        policy, scaling = plausible[0]
        reason = "air and soft tissue are where HU have them"
        for rival, other in plausible[1:]:
            if scaling.distance_hu(other) >= RISK_HU:
                reason += f", but they would be so too by {rival} ({other}): check which holds"
        return HUDecision(policy, scaling.slope, scaling.intercept, reason)
    if len(readings) == 1 and not evidence[0].is_scaled_twice:
        _require_air(stored, header, path)
        return HUDecision("header", 1.0, 0.0, "the only reading; has air, but little or no soft tissue beside it")
    policies = ", ".join(("header", *(["metadata"] if metadata is not None else []), "already_hu"))
    tried = "; ".join(f"{policy} ({scaling}) {_range(sample, scaling)}" for policy, scaling in readings)
    raise InputError(
        f"{path}: no reading of its values is a CT, with air near -1000 and soft tissue near 0 HU; 5th / 50th / 95th "
        f"percentile by {tried}; mend the scaling, leave the file out, or say what holds: "
        f"hu_policy={policies} or unchecked"
    )


def _require_air(stored: np.ndarray, scaling: Scaling, path: Path) -> None:
    """Refuses values of which none is air; looks at all of them only if the sample holds none."""
    if _scaled(sample_of(stored), scaling).min() < AIR_BELOW_HU:
        return
    lowest = min(float(end) * scaling.slope + scaling.intercept for end in (stored.min(), stored.max()))
    if not lowest < AIR_BELOW_HU:
        raise InputError(
            f"{path}: no voxel below {AIR_BELOW_HU} HU, the lowest is {lowest:g}, yet a chest holds air; likely these "
            "are stored values whose intercept (often -1024) the header lacks: put it there or in the table, or "
            "store HU; hu_policy=unchecked takes the file as it is"
        )


def _scaled(sample: np.ndarray, scaling: Scaling) -> np.ndarray:
    """HU of the sample; infinite where the scaling is absurd."""
    with np.errstate(over="ignore", invalid="ignore"):
        return sample * np.float32(scaling.slope) + np.float32(scaling.intercept)


def _range(sample: np.ndarray, scaling: Scaling) -> str:
    """Percentiles for a message."""
    return " / ".join(f"{value:.0f}" for value in np.percentile(_scaled(sample, scaling), (5, 50, 95)))


def _fits_int16(stored: np.ndarray, shift: int) -> bool:
    """Whether integers plus `shift` stay within int16; the common case needs no look at them."""
    if stored.dtype.itemsize == 2 and stored.dtype.kind == "i" and shift == 0:
        return True
    limits = np.iinfo(np.int16)
    return limits.min <= int(stored.min()) + shift and int(stored.max()) + shift <= limits.max
