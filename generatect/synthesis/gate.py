"""Which generated volumes are kept."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from generatect.config.check import check_arguments
from generatect.ct.quality import QualityLimits, faults, measure_quality
from generatect.ct.volume import CTVolume
from generatect.data.prompts import Prompt
from generatect.errors import InputError
from generatect.findings import load_classifier
from generatect.synthesis.agreement import Agreement


@dataclass(frozen=True)
class Gate:
    """Which volumes are kept.

    Args:
        max_attempts: seeds tried for a prompt before it is given up.
        limits: what passes.
        agreement: with the prompt's labels; None asks no classifier.

    Raises:
        InputError: no attempt at all.
    """

    max_attempts: int
    limits: QualityLimits
    agreement: Agreement | None = None

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InputError(f"gate.max_attempts={self.max_attempts}: expected at least 1; gate=null keeps everything")

    def plain(self) -> dict[str, Any]:
        """Its values as JSON holds them."""
        judged = {} if self.agreement is None else {"agreement": self.agreement.plain()}
        return json.loads(json.dumps({"max_attempts": self.max_attempts, "limits": asdict(self.limits), **judged}))

    def look_at(self, volume: CTVolume, prompt: Prompt) -> tuple[list[str], dict[str, float]]:
        """What keeps a volume from passing, empty where it passes; and what was measured and goes into its sidecar."""
        found = faults(measure_quality(volume), self.limits)
        if found or self.agreement is None:
            return found, {}
        value = round(self.agreement.of(volume, prompt.columns), 4)
        if value < self.agreement.least:
            found = [f"agreement with the labels {value:.2f}, expected at least {self.agreement.least:g}"]
        return found, {"agreement": value}


@dataclass(frozen=True)
class GateSettings:
    """A gate as a configuration names it.

    Args:
        max_attempts: see `Gate`.
        limits: of `QualityLimits`, those that differ from its own.
        classifier: file of stage `ctnet`, or its folder; None asks none.
        agreement: the least of it that passes; see `generatect.synthesis.agreement`.
    """

    max_attempts: int = 1
    limits: Mapping[str, Any] | None = None
    classifier: str | None = None
    agreement: float = 0.0


def open_gate(settings: Mapping[str, Any], prompts: Sequence[Prompt], device: torch.device) -> Gate:
    """The gate that a configuration names.

    Args:
        settings: arguments of `GateSettings`.
        prompts: whose volumes shall pass it.
        device: where the classifier computes.

    Raises:
        InputError: a setting that there is not or that cannot be used, or prompts without labels for the classifier.
    """
    check_arguments(GateSettings, settings, "gate")
    asked = GateSettings(**settings)
    limits = asked.limits or {}
    check_arguments(QualityLimits, limits, "gate.limits")
    bounds = {key: tuple(value) if isinstance(value, list) else value for key, value in limits.items()}
    agreement = None
    if asked.classifier is not None:
        agreement = Agreement(load_classifier(asked.classifier, device, "gate.classifier"), asked.agreement)
        agreement.require_labels(prompts)
    return Gate(asked.max_attempts, QualityLimits(**bounds), agreement)
