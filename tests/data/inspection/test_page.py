"""The page: whole by itself, nothing in it runs, and nothing that a name holds becomes markup."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from generatect.ct.hounsfield import HUDecision
from generatect.data.inspection.archive import Inspection
from generatect.data.inspection.catalogue import CHECKS
from generatect.data.inspection.charts import category_bars, histogram
from generatect.data.inspection.facts import HeaderFacts, VoxelFacts
from generatect.data.inspection.findings import found
from generatect.data.inspection.gallery import MAX_SHOWN, chosen
from generatect.data.inspection.machine_readable import as_json
from generatect.data.inspection.page import MAX_LISTED, as_html
from generatect.data.inspection.terminal import verdict
from generatect.data.manifest import LeftOut, Record

VOID = {"meta", "img"}
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202egz.nii"


class Strict(HTMLParser):
    """Fails on tags that do not match, and collects what is there."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def inspection(num: int = 3, name: str = "volume", with_voxels: bool = True) -> Inspection:
    records = [Record(f"{name}-{i}", Path(f"{name}-{i}"), f"p{i}", "text", split="train") for i in range(num)]
    headers = [
        HeaderFacts(1000, None, (100 + i, 512, 512), (1.5, 0.7, 0.7), "LPS", 0.0, "int16", 1.0, 0.0) for i in range(num)
    ]
    decision = HUDecision("header", 1.0, 0.0, "why")
    voxels = [
        VoxelFacts(
            None, decision, (100, 512, 512), (1.5, 0.7, 0.7), -1024.0, 1800.0, 1e-6, 0.0, "", 20.0, 3.0, str(i), "QUJD"
        )
        for i in range(num)
    ]
    findings = [found(code, f"{name}-{i % max(num, 1)}", f"message of {name}") for i, code in enumerate(CHECKS)]
    left_out = [LeftOut(f"{name}-left", "no report")]
    return Inspection(records, left_out, headers, voxels if with_voxels else None, findings, "128 tokens")


@pytest.mark.parametrize("with_voxels", [True, False])
@pytest.mark.parametrize("num", [0, 1, 3, 300])
def test_the_page_is_well_formed_and_asks_for_nothing(num, with_voxels):
    page = as_html(inspection(num, with_voxels=with_voxels))
    parsed = Strict(page)
    assert parsed.tags.count("h1") == 1
    assert parsed.tags.count("details") == len(CHECKS)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
    assert not re.search(r"https?://|//[a-z]|url\(|@import|javascript:", page.replace("data:image/jpeg;base64,", ""))
    for name, value in parsed.attributes:
        assert not name.startswith("on")
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")
        if name == "href":
            assert value.startswith("#")
    ids = [value for name, value in parsed.attributes if name == "id"]
    assert {value[1:] for name, value in parsed.attributes if name == "href"} <= set(ids)
    assert len(ids) == len(set(ids))
    assert "default-src 'none'" in page


def test_names_are_escaped_wherever_they_stand():
    page = as_html(inspection(3, HOSTILE))
    parsed = Strict(page)
    assert "script" not in parsed.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_large_archive_makes_a_page_of_bounded_size():
    large = inspection(2000)
    large.findings.extend(found("z-extent", f"volume-{i}", "short") for i in range(2000))
    page = as_html(large)
    assert page.count("<img") == len(chosen(large)) == MAX_SHOWN
    assert page.count("<tr>") <= len(CHECKS) * MAX_LISTED
    assert "more, listed in doctor.json" in page


def test_volumes_with_errors_are_shown_first():
    several = inspection(2000)
    several.findings[:] = [found("no-lungs", "volume-1234", "why"), found("z-extent", "volume-77", "why")]
    assert chosen(several)[:2] == [1234, 77]


def test_the_verdict_counts():
    some = inspection(3)
    assert verdict(some).startswith("Training may not start: ")
    some.findings[:] = [found("z-extent", "volume-0", "short")]
    assert verdict(some) == "Training may start: no errors in 3 volumes; 1 warning, 0 remarks"
    some.findings.append(found("no-lungs", "volume-0", "none"))
    assert verdict(some) == "Training may not start: 1 error in 1 of 3 volumes; 1 warning, 0 remarks"


def test_json_holds_every_finding_and_every_file():
    some = inspection(3, HOSTILE)
    content = json.loads(json.dumps(as_json(some)))
    assert content["training_may_start"] is False
    assert {finding["code"] for finding in content["findings"]} == set(CHECKS)
    assert [file["name"] for file in content["files"]] == [record.name for record in some.records]
    assert content["files"][0]["header"]["axis_codes"] == "LPS"
    assert content["files"][0]["voxels"]["hu"]["policy"] == "header"
    assert "thumbnail" not in content["files"][0]["voxels"]
    assert sum(check["count"] for check in content["checks"].values()) == len(some.findings)


def test_every_check_says_what_it_means():
    for check in CHECKS.values():
        assert check.advice.endswith(".")
        assert not check.title.endswith(".")
        assert re.fullmatch(r"[a-z-]+", check.code)


@pytest.mark.parametrize(
    "values", [[1.0], [1.0] * 50, [0.5, 5.0], [float(i) for i in range(1000)], [1.5] * 500 + [20.0, 0.1]]
)
def test_histogram_bars_count_every_value(values):
    chart = histogram(values, "mm")
    Strict(chart)
    assert sum(int(count.replace(",", "")) for count in re.findall(r": ([\d,]+)</title>", chart)) == len(values)
    places = [float(x) for x in re.findall(r'<rect class="bar" x="([\d.]+)"', chart)]
    assert all(0 <= x <= 440 for x in places)


def test_category_bars_sum_up_the_rare_ones():
    chart = category_bars({f"<{index}>": index + 1 for index in range(20)})
    Strict(chart)
    assert chart.count("<rect") == 8
    assert "13 others" in chart
    assert "&lt;19&gt;" in chart
