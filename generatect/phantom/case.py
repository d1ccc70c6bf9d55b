"""A phantom case: a patient and what is found."""

from dataclasses import dataclass

import numpy as np

from generatect.errors import InputError
from generatect.phantom.findings import LABELS, Finding, sample_findings
from generatect.phantom.patient import Patient, sample_patient

PHANTOM_NOTICE = "PHANTOM - computed shapes, synthetic, not a patient; for development and proof only"
"""Goes wherever a phantom goes."""


@dataclass(frozen=True)
class PhantomCase:
    """The whole truth about one phantom.

    Attributes:
        seed: the seed that made it.
        patient: the body.
        findings: what is abnormal, in the order of `FINDINGS`.
    """

    seed: int
    patient: Patient
    findings: tuple[Finding, ...]

    @property
    def sex(self) -> str:
        """Either "male" or "female"."""
        return self.patient.sex

    @property
    def age(self) -> int:
        """Age in years."""
        return self.patient.age

    @property
    def size(self) -> float:
        """Size of the chest relative to the average."""
        return self.patient.scale

    def finding(self, name: str) -> Finding | None:
        """The finding of that name, or None where it is absent."""
        return next((finding for finding in self.findings if finding.name == name), None)


def sample_case(seed: int, prevalence: float = 0.35, patient_seed: int | None = None) -> PhantomCase:
    """The case of a seed: the same seed gives the same case on every machine.

    Args:
        seed: any non-negative integer.
        prevalence: probability of each finding, in [0, 1].
        patient_seed: seed of the body where it differs from the scan's, as for two scans of one patient.

    Raises:
        InputError: a negative seed, or a prevalence that is no probability.
    """
    if seed < 0 or not 0 <= prevalence <= 1:
        raise InputError(f"phantom seed={seed}, prevalence={prevalence}: expected seed >= 0, prevalence in [0, 1]")
    body = np.random.default_rng([seed if patient_seed is None else patient_seed, 1])
    return PhantomCase(seed, sample_patient(body), sample_findings(prevalence, np.random.default_rng([seed, 2])))


def labels(case: PhantomCase) -> dict[str, int]:
    """0 or 1 for every one of `LABELS`."""
    result = {}
    for key in LABELS:
        name, _, side = key.partition("/")
        finding = case.finding(name)
        result[key] = int(finding is not None and (not side or finding.is_on(side)))
    return result
