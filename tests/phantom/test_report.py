"""Reports say what the case holds, in two wordings that share words but no phrases."""

import re

import numpy as np
import pytest

from generatect.errors import InputError
from generatect.phantom.case import labels, sample_case
from generatect.phantom.findings import FINDINGS, SIDED
from generatect.phantom.report import compose_report, sample_prompts, write_report
from generatect.phantom.wording import BANKS

WORDS = {
    "Medical material": ("pacemaker",),
    "Arterial wall calcification": ("calcification", "aortic wall", "wall of the aorta", "wall of aorta"),
    "Cardiomegaly": (
        "cardiomegaly",
        "enlargement of",
        "enlarged heart",
        "heart size",
        "size of the heart",
        "size of heart",
        "heart is normal",
        "heart is of",
        "heart with",
    ),
    "Pericardial effusion": ("pericardi",),
    "Hiatal hernia": ("hernia",),
    "Lymphadenopathy": ("lymph",),
    "Emphysema": ("emphysema",),
    "Lung nodule": ("nodule", "mass"),
    "Pleural effusion": ("pleural",),
    "Consolidation": ("consolidation",),
}
DENIAL = re.compile(r"\b(no|not|without|normal)\b")


def vocabulary(texts: list[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z]+|\d+", text.lower())}


def sentences(wording: str) -> set[str]:
    reports = (write_report(sample_case(seed, 0.5), seed, wording) for seed in range(300))
    return {sentence.strip().lower() for report in reports for sentence in report.split(".") if sentence.strip()}


@pytest.mark.parametrize("wording", sorted(BANKS))
def test_every_finding_is_named_denied_or_unmentioned_as_the_case_says(wording):
    for seed in range(400):
        case = sample_case(seed, 0.4)
        report = compose_report(case, seed, wording)
        parts = [part.strip().lower() for part in report.text.split(".") if part.strip()]
        for name in FINDINGS:
            about = [part for part in parts if any(word in part for word in WORDS[name])]
            state = report.mentions[name]
            assert (state == "named") == bool(labels(case)[name])
            assert len(about) == (state != "unmentioned"), (name, state, report.text)
            if about:
                assert bool(DENIAL.search(about[0])) == (state == "denied"), (name, report.text)


@pytest.mark.parametrize("wording", sorted(BANKS))
def test_sides_and_severities_are_in_the_sentence(wording):
    for seed in range(300):
        case = sample_case(seed, 0.5)
        report = compose_report(case, seed, wording)
        parts = [part.lower() for part in report.text.split(".")]
        for finding in case.findings:
            (about,) = (part for part in parts if any(word in part for word in WORDS[finding.name]))
            if finding.name != "Lymphadenopathy" and finding.name != "Cardiomegaly":
                assert finding.severity in about
            assert finding.place in about
            assert report.sides[finding.name] == finding.side
            if finding.name in SIDED:
                has = {side: bool(re.search(rf"\b{side}\b", about)) for side in ("left", "right")}
                if finding.side == "both":
                    assert has["left"] == has["right"]
                    assert all(has.values()) or "bilateral" in about or "both" in about
                else:
                    assert has == {side: side == finding.side for side in has}


@pytest.mark.parametrize("wording", sorted(BANKS.keys() - {"train"}))
def test_other_banks_have_only_words_of_training_but_no_sentence_of_it(wording):
    train, other = (
        vocabulary([report.text for report in sample_prompts(num, 2, bank)])
        for bank, num in (("train", 1200), (wording, 400))
    )
    assert other <= train
    assert len(train) <= 150
    assert not sentences("train") & sentences(wording)


def test_no_sentence_of_development_is_reported_on():
    assert not sentences("development") & sentences("heldout")


def test_reports_are_short_varied_and_seeded():
    prompts = sample_prompts(500, 4)
    assert max(len(prompt.text.split()) for prompt in prompts) <= 100
    assert len({prompt.text for prompt in prompts}) == 500
    assert prompts == sample_prompts(500, 4)
    assert re.match(r"\d\d years old (fe)?male: [A-Z]", prompts[0].text)
    assert all(prompt.text.count("{") == 0 and "  " not in prompt.text for prompt in prompts)


def test_absent_findings_are_unmentioned_about_one_time_in_seven():
    states = [s for p in sample_prompts(600, 5, prevalence=0.3) for s in p.mentions.values() if s != "named"]
    assert np.mean([state == "unmentioned" for state in states]) == pytest.approx(0.15, abs=0.025)


def test_a_report_is_never_empty():
    assert all(write_report(sample_case(seed, 0.0), seed) for seed in range(300))


def test_unknown_wording_is_refused():
    with pytest.raises(InputError, match="wording='latin'"):
        write_report(sample_case(1), 1, "latin")
