"""What the numbers of an audit say, in sentences, and what they do not."""

from dataclasses import dataclass

from generatect.privacy.proportion import percent
from generatect.privacy.study import Findings

COPIES, MEMBERS, BLIND, TOO_FEW, NOTHING = "copies", "membership", "blind", "too few", "nothing found"
SIGNIFICANT = 0.025
"""Chance below which so many flags are taken for copies."""

LEAST_POWER = 0.5
"""Share of the planted copies that an audit must surely find before finding nothing means something."""

LARGEST_SHARE = 0.25
"""Of the volumes, that may be copies unseen where finding none is still called no sign of copying."""

CANNOT = (
    "An audit cannot show copies of a part of a volume, such as one lesion, likeness to scans that are not in train, "
    "or what prompts give away; and finding nothing is no guarantee of privacy."
)


@dataclass(frozen=True)
class Verdict:
    """What is concluded.

    Attributes:
        kind: "copies", "membership", "blind", "too few" or "nothing found".
        title: in a few words.
        reason: in a sentence.
    """

    kind: str
    title: str
    reason: str


def conclude(findings: Findings) -> Verdict:
    """The conclusion, the gravest first."""
    flagged, planted, member = findings.flagged, findings.planted, findings.membership
    if findings.chance < SIGNIFICANT:
        return Verdict(
            COPIES,
            "Copies of training volumes",
            f"{flagged} generated volumes are flagged, {percent(findings.rate)} would be by chance (so many with a "
            f"probability of {_small(findings.chance)}); the grey values of {findings.num_confirmed} say the same.",
        )
    if planted.interval[0] < LEAST_POWER:
        return Verdict(
            BLIND,
            "This audit cannot tell",
            f"It found {planted} of the copies that it planted itself. Name the tokenizer that was trained on such "
            "volumes (weights=), or more held-out volumes.",
        )
    if member.is_given_away:
        return Verdict(
            MEMBERS,
            "No copies, but the training set shows",
            f"Training volumes are nearer to the generated ones than held-out volumes are (AUC {member.auroc:.2f}); if "
            "both come from the same scanners and years, that tells who was in the training set.",
        )
    most = min(1.0, flagged.interval[1] / planted.interval[0])
    reason = (
        f"{flagged} generated volumes are flagged, {percent(findings.rate)} would be by chance. With {planted} planted "
        f"copies found, at most about {percent(round(most, 2))} of the volumes can be copies of such a kind."
    )
    if most > LARGEST_SHARE:
        return Verdict(TOO_FEW, "Too few volumes to tell", f"{reason} Generate more volumes and audit them.")
    return Verdict(NOTHING, "No sign of copying", reason)


def what_a_flag_means(rate: float) -> str:
    """What is said wherever flags are shown."""
    return (
        f"A flagged volume is nearer to one training volume, measured by its distance to other real volumes, than "
        f"{percent(1 - rate)} of fresh real volumes are. That is a reason to look at the pair, not a proof."
    )


def _small(probability: float) -> str:
    """Such as "0.012" or "less than 0.001"."""
    return f"{probability:.2g}" if probability >= 0.001 else "less than 0.001"
