"""The part of the page that shows volumes: three planes each, with how they were read and what was found."""

from html import escape

from generatect.data.inspection.archive import Inspection
from generatect.data.inspection.catalogue import SEVERITIES
from generatect.data.inspection.distributions import READ_AS
from generatect.data.inspection.facts import VoxelFacts
from generatect.data.inspection.findings import Finding, plain

MAX_SHOWN = 240
"""About 2 MB of pictures."""


def gallery(inspection: Inspection) -> str:
    """The section; empty where no voxels were read."""
    shown = chosen(inspection)
    if not shown:
        return ""
    of_name: dict[str, list[Finding]] = {}
    for finding in inspection.findings:
        of_name.setdefault(finding.name, []).append(finding)
    assert inspection.voxels is not None
    figures = "".join(
        _figure(index, inspection.records[index].name, inspection.voxels[index], of_name) for index in shown
    )
    total = sum(facts.thumbnail is not None for facts in inspection.voxels)
    note = f"{len(shown):,} of {total:,}; those with findings first" if len(shown) < total else f"all {total:,}"
    return (
        f'<section>\n<h2>Volumes</h2>\n<p class="aside">Lung window. Axial, coronal and sagittal plane through the '
        f"body; the patient's right, or front, is at the left. Shown: {note}.</p>\n"
        f'<div class="gallery">{figures}</div>\n</section>\n'
    )


def chosen(inspection: Inspection) -> list[int]:
    """Indices of the volumes to show: those with errors, with warnings, then the rest at even distances."""
    if inspection.voxels is None:
        return []
    grave = {
        finding.name: min(SEVERITIES.index(finding.severity), 2)
        for finding in sorted(inspection.findings, key=lambda finding: -SEVERITIES.index(finding.severity))
    }
    there = [index for index, facts in enumerate(inspection.voxels) if facts.thumbnail is not None]
    rank = {index: grave.get(inspection.records[index].name, 2) for index in there}
    found = [index for level in (0, 1) for index in there if rank[index] == level]
    rest = [index for index in there if rank[index] == 2]
    room = MAX_SHOWN - len(found)
    if room < len(rest):
        rest = [rest[place * len(rest) // room] for place in range(max(0, room))]
    return found[:MAX_SHOWN] + rest


def places(inspection: Inspection) -> dict[str, str]:
    """Name of each volume shown → its place on the page."""
    return {inspection.records[index].name: f"volume-{index}" for index in chosen(inspection)}


def _figure(index: int, name: str, facts: VoxelFacts, of_name: dict[str, list[Finding]]) -> str:
    assert facts.hu is not None
    assert facts.shape_zyx is not None
    assert facts.spacing_mm_zyx is not None
    codes: dict[str, str] = {finding.code: finding.severity for finding in of_name.get(name, [])}
    marks = "".join(f'<li class="{severity}">{code}</li>' for code, severity in codes.items())
    size = " × ".join(map(str, facts.shape_zyx))
    spacing = " × ".join(f"{mm:.3g}" for mm in facts.spacing_mm_zyx)
    return (
        f'<figure id="volume-{index}"><div class="film"><img alt="three planes of the volume" '
        f'src="data:image/jpeg;base64,{escape(facts.thumbnail or "")}"></div>\n'
        f"<figcaption><strong>{escape(plain(name))}</strong>"
        f"<span>{size}, {spacing} mm</span>"
        f"<span>{READ_AS.get(facts.hu.policy, escape(facts.hu.policy))}, lungs {facts.lungs_litres:.1f} l</span>"
        + (f"<ul>{marks}</ul>" if marks else "")
        + "</figcaption></figure>\n"
    )
