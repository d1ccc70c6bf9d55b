"""Whether a generated volume shows what its prompt's labels ask for, as far as a classifier can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generatect.ct.volume import CTVolume
from generatect.data.prompts import Prompt
from generatect.data.table import LABEL_VALUES
from generatect.errors import InputError
from generatect.findings import Classifier, findings


@dataclass(frozen=True)
class Agreement:
    """A classifier, and how far it has to agree with the labels of a prompt.

    Args:
        classifier: says what it finds.
        least: agreement that passes, in [0, 1]; see `agreement`.

    Raises:
        InputError: a bound that is no share.
    """

    classifier: Classifier
    least: float

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise InputError(f"gate.agreement={self.least}: expected 0 to 1, the least that passes")

    def plain(self) -> dict[str, Any]:
        """What decides whether a volume passes."""
        return {"classifier_sha256": self.classifier.sha256, "least": self.least}

    def of(self, volume: CTVolume, columns: Mapping[str, str]) -> float:
        """Agreement of a volume with the labels among the columns of its prompt."""
        return agreement(findings(self.classifier, volume), asked_labels(columns, self.classifier.labels))

    def require_labels(self, prompts: Sequence[Prompt]) -> None:
        """Refuses prompts that say of none of the classifier's labels whether it is asked for.

        Raises:
            InputError: naming the prompt and the labels.
        """
        for prompt in prompts:
            if not asked_labels(prompt.columns, self.classifier.labels):
                raise InputError(
                    f"gate.classifier: prompt {prompt.name!r} has none of its labels as a column of 0 or 1 "
                    f"({', '.join(self.classifier.labels)}); add them to the table, or leave the classifier out"
                )


def asked_labels(columns: Mapping[str, str], names: Sequence[str]) -> dict[str, int]:
    """Those of `names` that a prompt's columns say 0 or 1 of."""
    return {name: LABEL_VALUES[columns[name]] for name in names if columns.get(name) in LABEL_VALUES}


def agreement(found: Mapping[str, float], asked: Mapping[str, int]) -> float:
    """1 minus the mean of |probability - label| over the labels asked for: 1 is full agreement, 0 the opposite."""
    return 1 - sum(abs(found[name] - value) for name, value in asked.items()) / len(asked)
