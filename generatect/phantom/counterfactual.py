"""Two prompts that differ in one finding alone: what a model changes between them shows what it has understood."""

from dataclasses import dataclass

import numpy as np

from generatect.phantom.case import sample_case
from generatect.phantom.findings import FINDINGS, LABELS, Finding, sample_finding
from generatect.phantom.report import case_seed, deny_findings, name_finding, prompt
from generatect.phantom.wording import BANKS, TRAIN


@dataclass(frozen=True)
class Counterfactual:
    """A pair of prompts.

    Attributes:
        finding: what the first prompt names and the second denies.
        side: "left" or "right" where the finding lies on one, else "".
        start: age and sex, as both prompts start.
        named: the sentence that states the finding.
        denied: what stands in its place in the second prompt.
        rest: the sentences after it in both prompts.
    """

    finding: str
    side: str
    start: str
    named: str
    denied: str
    rest: str

    @property
    def with_finding(self) -> str:
        """The prompt that names it."""
        return f"{self.start}{self.named} {self.rest}"

    @property
    def without_finding(self) -> str:
        """The prompt that denies it."""
        return f"{self.start}{self.denied} {self.rest}"

    @property
    def label(self) -> str:
        """Such as "Pleural effusion, left"."""
        return f"{self.finding}, {self.side}" if self.side else self.finding


def counterfactuals(num_patients: int, seed: int, wording: str = TRAIN) -> list[Counterfactual]:
    """Every finding, sided ones on each side, in otherwise normal chests of several patients.

    Args:
        num_patients: pairs for each finding and side.
        seed: of patients, severities and wording; the same seed gives the same pairs.
        wording: "train", "development" or "heldout".
    """
    bank, pairs = BANKS[wording], []
    for kind, label in enumerate(_KINDS):
        name, _, side = label.partition("/")
        for index in range(num_patients):
            case = sample_case(case_seed(seed, kind * num_patients + index))
            generator = np.random.default_rng([case.seed, 7])
            named = name_finding(_finding_on(name, side, generator), bank, generator)
            denied = " ".join(deny_findings([name], bank, generator))
            others = " ".join(deny_findings([other for other in FINDINGS if other != name], bank, generator))
            pairs.append(Counterfactual(name, side, prompt(case, ""), named, denied, others))
    return pairs


def _finding_on(name: str, side: str, generator: np.random.Generator) -> Finding:
    """A finding of that name on that side alone."""
    while (finding := sample_finding(name, generator)).side != side:
        pass
    return finding


_SIDED_NAMES = {label.partition("/")[0] for label in LABELS if "/" in label}
_KINDS = tuple(label for label in LABELS if label not in _SIDED_NAMES)
"""Findings that lie in the middle, and sided ones with their side."""
