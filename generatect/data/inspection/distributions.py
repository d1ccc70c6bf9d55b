"""The part of the page that shows how an archive's geometry and units are distributed."""

from collections import Counter

from generatect.data.inspection.archive import Inspection
from generatect.data.inspection.charts import category_bars, histogram
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.header_checks import used_spacing

READ_AS = {
    "header": "scaled by the header",
    "metadata": "scaled by the table",
    "already_hu": "HU as stored",
    "unchecked": "header, unchecked",
}
"""Ways to HU, in words."""


def distributions(inspection: Inspection) -> str:
    """The section; empty where no header could be read."""
    charts = [*_geometry(inspection), *_units(inspection)]
    for title, values in (
        ("Stored axes", [facts.axis_codes for facts in inspection.headers]),
        ("Stored type", [facts.dtype for facts in inspection.headers]),
    ):
        if counts := Counter(value for value in values if value is not None):
            charts.append((title, category_bars(counts)))
    if not charts:
        return ""
    figures = "".join(f"<figure><figcaption>{title}</figcaption>{chart}</figure>\n" for title, chart in charts)
    return f'<section>\n<h2>Geometry and units</h2>\n<div class="charts">{figures}</div>\n</section>\n'


def _geometry(inspection: Inspection) -> list[tuple[str, str]]:
    """Histograms of spacing and extent, by the table where it has the word."""
    known = [
        (spacing, facts.shape_zyx)
        for record, facts in zip(inspection.records, inspection.headers, strict=True)
        if (spacing := used_spacing(record, facts)) is not None and facts.shape_zyx is not None
    ]
    if not known:
        return []
    return [
        ("Slice spacing", histogram([spacing[0] for spacing, _ in known], "mm")),
        ("Pixel size", histogram([spacing[2] for spacing, _ in known], "mm")),
        ("Slices", histogram([float(shape[0]) for _, shape in known], "slices")),
        ("Height", histogram([shape[0] * spacing[0] for spacing, shape in known], "mm")),
    ]


def _units(inspection: Inspection) -> list[tuple[str, str]]:
    """How values became HU; where voxels were not read, who states a scaling."""
    if inspection.voxels is not None:
        policies = Counter(READ_AS.get(of.hu.policy, of.hu.policy) for of in inspection.voxels if of.hu is not None)
        return [("How values became HU", category_bars(policies))] if policies else []
    stated = Counter(
        _stated(facts, record.metadata is not None)
        for record, facts in zip(inspection.records, inspection.headers, strict=True)
        if facts.slope is not None
    )
    return [("Scaling to HU stated by", category_bars(stated))] if stated else []


def _stated(facts: HeaderFacts, by_table: bool) -> str:
    """Who states a scaling."""
    by_header = (facts.slope, facts.intercept) != (1, 0)
    places = [place for place, states in (("header", by_header), ("table", by_table)) if states]
    return " and ".join(places) or "neither"
