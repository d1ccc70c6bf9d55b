"""What a radiologist may find: ten of CT-RATE's abnormalities with side, place and severity."""

from dataclasses import dataclass

import numpy as np

FINDINGS = (
    "Medical material",
    "Arterial wall calcification",
    "Cardiomegaly",
    "Pericardial effusion",
    "Hiatal hernia",
    "Lymphadenopathy",
    "Emphysema",
    "Lung nodule",
    "Pleural effusion",
    "Consolidation",
)
"""The phantom's abnormalities, named as in CT-RATE's table of labels."""

SIDED = ("Lung nodule", "Pleural effusion", "Consolidation")
"""Those that lie on one side (a pleural effusion may lie on both)."""

LABELS = FINDINGS + tuple(f"{name}/{side}" for name in SIDED for side in ("left", "right"))
"""Keys of a phantom's labels: every finding on any side, and sided ones per side."""

PLACES = {"Lung nodule": ("upper", "lower"), "Consolidation": ("upper", "lower")}
"""Lobes in which a finding may lie."""

SEVERITIES = {
    "Medical material": ("",),
    "Arterial wall calcification": ("mild", "extensive"),
    "Cardiomegaly": ("mild", "severe"),
    "Pericardial effusion": ("moderate", "large"),
    "Hiatal hernia": ("moderate", "large"),
    "Lymphadenopathy": ("mild", "severe"),
    "Emphysema": ("mild", "severe"),
    "Lung nodule": ("small", "large"),
    "Pleural effusion": ("small", "moderate", "large"),
    "Consolidation": ("patchy", "dense"),
}
"""Grades of each finding in words, mildest first."""

BILATERAL_PROB = 0.25


@dataclass(frozen=True)
class Finding:
    """One abnormality.

    Attributes:
        name: one of `FINDINGS`.
        side: "left", "right" or "both" for the sided ones, else "".
        place: "upper" or "lower" lobe where it has one, else "".
        severity: one of the finding's grades.
        grade: 0 for the mildest, 1 for the severest.
        shift: three numbers in [-1, 1] that vary position and shape.
    """

    name: str
    side: str
    place: str
    severity: str
    grade: float
    shift: tuple[float, float, float]

    def is_on(self, side: str) -> bool:
        """Whether the finding lies (also) on this side."""
        return self.side in (side, "both")


def sample_finding(name: str, generator: np.random.Generator) -> Finding:
    """One finding of the given name, its details drawn uniformly."""
    side = ""
    if name in SIDED:
        side = "left" if generator.random() < 0.5 else "right"
        if name == "Pleural effusion" and generator.random() < BILATERAL_PROB:
            side = "both"
    place = PLACES[name][generator.integers(len(PLACES[name]))] if name in PLACES else ""
    severities = SEVERITIES[name]
    level = int(generator.integers(len(severities)))
    grade = level / (len(severities) - 1) if len(severities) > 1 else 1.0
    first, second, third = (float(value) for value in generator.uniform(-1, 1, size=3))
    return Finding(name, side, place, severities[level], grade, (first, second, third))


def sample_findings(prevalence: float, generator: np.random.Generator) -> tuple[Finding, ...]:
    """Each finding is there with probability `prevalence`, independent of the others."""
    is_present = generator.random(len(FINDINGS)) < prevalence
    return tuple(sample_finding(name, generator) for name, present in zip(FINDINGS, is_present, strict=True) if present)
