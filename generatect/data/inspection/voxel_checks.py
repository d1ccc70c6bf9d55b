"""What the voxels show: damaged files, wrong units, and scans that are no chest."""

from collections.abc import Sequence

from generatect.ct.hu_evidence import FAR_ABOVE_HU, MAX_FAR_ABOVE_SHARE
from generatect.data.inspection.facts import HeaderFacts, VoxelFacts
from generatect.data.inspection.findings import Finding, found
from generatect.data.inspection.refusals import kind_of_refusal
from generatect.data.manifest import Record

MIN_BODY_LITRES = 3.0
LUNGS_LITRES = (0.4, 12.0)
CLIPPED_SHARE = 2e-5
SCANNERS_HIGHEST_HU = 3000
"""From here on, the end of the scanner's own range is likelier than somebody's clipping."""

AMBIGUOUS = "check which holds"
"""How `decide_hu` marks a decision that might have been another."""


def check_voxels(records: list[Record], headers: Sequence[HeaderFacts], facts: Sequence[VoxelFacts]) -> list[Finding]:
    """Findings of all volumes.

    Args:
        records: the volumes.
        headers: facts of their headers; what these refuse is not refused once more.
        facts: of the voxels.
    """
    findings: list[Finding] = []
    for record, header, of_volume in zip(records, headers, facts, strict=True):
        if of_volume.refusal is None:
            findings += [found(code, record.name, message) for code, message in _judge(header, of_volume)]
        elif header.refusal is None:
            findings.append(found(kind_of_refusal(of_volume.refusal), record.name, of_volume.refusal))
    return findings


def _judge(header: HeaderFacts, facts: VoxelFacts) -> list[tuple[str, str]]:
    """(code, message) of whatever is wrong with one volume."""
    assert facts.hu is not None
    assert facts.body_litres is not None
    assert facts.lungs_litres is not None
    assert facts.share_far_above is not None
    span = f"{facts.lowest_hu:.0f} to {facts.highest_hu:.0f} HU"
    if facts.scaling:  # body and lungs cannot be told by wrong units
        return [({"twice": "double-rescaling", "never": "never-rescaled"}[facts.scaling], span)]
    wrong = []
    header_scales = header.slope is not None and (header.slope, header.intercept) != (1, 0)
    if facts.hu.policy == "already_hu" and header_scales:
        scaling = f"slope {header.slope:g}, intercept {header.intercept:g}"
        wrong.append(("double-rescaling-risk", f"values are HU already, yet the header scales: {scaling}"))
    if AMBIGUOUS in facts.hu.reason:
        wrong.append(("hu-ambiguous", f"read by {facts.hu.policy}: {facts.hu.reason}"))
    if facts.share_far_above > MAX_FAR_ABOVE_SHARE:
        wrong.append(("far-above", f"{facts.share_far_above:.0%} of the voxels above {FAR_ABOVE_HU} HU, {span}"))
    if facts.body_litres < MIN_BODY_LITRES:
        wrong.append(("no-body", f"{facts.body_litres:.1f} litres of body, {span}"))
    elif not LUNGS_LITRES[0] <= facts.lungs_litres <= LUNGS_LITRES[1]:
        wrong.append(("no-lungs", f"{facts.lungs_litres:.1f} litres of lung in {facts.body_litres:.1f} litres of body"))
    if facts.share_highest > CLIPPED_SHARE and facts.highest_hu < SCANNERS_HIGHEST_HU:
        wrong.append(("clipped", f"{facts.share_highest:.2%} of the voxels at {facts.highest_hu:.0f} HU"))
    return wrong
