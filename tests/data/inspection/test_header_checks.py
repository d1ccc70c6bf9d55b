"""Geometry, scaling and types as headers state them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from generatect.ct.hounsfield import Scaling
from generatect.data.inspection.facts import HeaderFacts
from generatect.data.inspection.header_checks import check_headers
from generatect.data.manifest import Record

CHEST = HeaderFacts(
    num_bytes=1,
    shape_zyx=(200, 512, 512),
    spacing_mm_zyx=(1.5, 0.75, 0.75),
    axis_codes="LPS",
    oblique_degrees=0.0,
    dtype="int16",
    slope=1.0,
    intercept=0.0,
)


def record(name: str = "a", **fields) -> Record:
    return Record(name, Path(name), name, "text", **fields)


def codes(facts: HeaderFacts, **fields) -> list[str]:
    return [finding.code for finding in check_headers([record(**fields)], [facts])]


def test_a_usual_chest_is_sound():
    assert codes(CHEST) == []
    assert codes(replace(CHEST, spacing_mm_zyx=(1.0, 0.75, 0.75), shape_zyx=(320, 512, 512))) == []
    assert codes(CHEST, spacing_mm_zyx=(1.51, 0.75, 0.75), metadata=Scaling(1.0, -1024.0)) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"refusal": "axes (2, 3)"}, "header-refused"),
        ({"refusal": "truncated: its header declares more"}, "damaged-file"),
        ({"spacing_mm_zyx": (6.0, 0.75, 0.75), "shape_zyx": (50, 512, 512)}, "z-spacing"),
        ({"spacing_mm_zyx": (0.25, 0.75, 0.75), "shape_zyx": (1200, 512, 512)}, "z-spacing"),
        ({"spacing_mm_zyx": (1.5, 4.0, 4.0), "shape_zyx": (200, 100, 100)}, "in-plane-spacing"),
        ({"shape_zyx": (60, 512, 512)}, "z-extent"),
        ({"shape_zyx": (500, 512, 512)}, "z-extent"),
        ({"shape_zyx": (200, 200, 200)}, "field-of-view"),
        ({"oblique_degrees": 12.0}, "oblique"),
        ({"axis_codes": "SLP"}, "axis-order"),
        ({"dtype": "uint8"}, "narrow-type"),
        ({"dtype": "float32"}, "wide-type"),
        ({"spacing_mm_zyx": (1.0, 0.75, 0.75), "shape_zyx": (160, 512, 512)}, "spacing-default"),
        ({"spacing_mm_zyx": (1.0, 1.0, 1.0), "shape_zyx": (300, 512, 512)}, "spacing-default"),
    ],
)
def test_each_oddity_has_its_code(changed, code):
    assert codes(replace(CHEST, **changed)) == [code]


def test_a_table_that_disagrees():
    assert codes(CHEST, spacing_mm_zyx=(2.0, 0.75, 0.75)) == ["spacing-differs"]
    assert codes(replace(CHEST, spacing_mm_zyx=None), spacing_mm_zyx=(2.0, 0.75, 0.75)) == []
    scaled = replace(CHEST, intercept=-1024.0)
    assert codes(scaled, metadata=Scaling(1.0, 0.0)) == ["double-rescaling-risk"]
    assert codes(scaled, metadata=Scaling(1.0, -1024.0)) == []
    assert codes(scaled) == []


def test_a_dicom_series_has_no_scaling_of_its_own():
    assert codes(replace(CHEST, dtype=None, slope=None, intercept=None), metadata=Scaling(1.0, -1024.0)) == []


def test_spacings_far_from_the_others():
    generator = np.random.default_rng(0)
    usual = [
        replace(CHEST, spacing_mm_zyx=(float(z), 0.75, 0.75)) for z in generator.normal(1.5, 0.02, 40).clip(1.4, 1.6)
    ]
    far = replace(CHEST, spacing_mm_zyx=(4.5, 0.75, 0.75), shape_zyx=(100, 512, 512))
    records = [record(str(index)) for index in range(41)]
    assert [(f.code, f.name) for f in check_headers(records, [*usual, far])] == [("spacing-outlier", "40")]
    assert check_headers(records[:40], usual) == []
    assert check_headers(records[:19], [*usual[:18], far]) == []
