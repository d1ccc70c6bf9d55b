"""What an audit's headline may say depends on how much its numbers can tell."""

import re
from pathlib import Path

import numpy as np
import pytest

from generatect.privacy.folder import AuditedFolder, AuditedVolume
from generatect.privacy.membership import Membership
from generatect.privacy.page import as_html
from generatect.privacy.proportion import Proportion
from generatect.privacy.report import AuditReport
from generatect.privacy.study import Findings, Match
from generatect.privacy.verdict import LARGEST_SHARE, conclude

ALL_FOUND = Proportion(40, 40)
MEMBER = Membership(auroc=0.5, interval=(0.4, 0.6), control=0.5, control_interval=(0.4, 0.6))


def volume(name: str, patient: str) -> AuditedVolume:
    return AuditedVolume(Path(name), name, name, (0, 0, 0), patient)


def folder(setting: str, num: int, num_patients: int) -> AuditedFolder:
    volumes = tuple(volume(f"{setting}-{index}", f"p{index % num_patients}") for index in range(num))
    return AuditedFolder(setting, Path(setting), volumes, Path("table.csv"))


def findings(num: int, num_flagged: int = 0, planted: Proportion = ALL_FOUND) -> Findings:
    one = volume("v", "p")
    matches = tuple(Match(one, one, 1.0, 0.5, 0.1, 0.5, index < num_flagged, False) for index in range(num))
    return Findings(0.05, 0.8, matches, np.linspace(0.5, 1.5, 200), planted, MEMBER, 60)


@pytest.mark.parametrize("num", [1, 4, 8, 12, 16, 20, 40, 400])
def test_no_sign_of_copying_is_said_only_where_copies_would_be_few(num):
    found = findings(num)
    verdict = conclude(found)
    most = found.flagged.interval[1] / found.planted.interval[0]
    assert verdict.title == ("No sign of copying" if most <= LARGEST_SHARE else "Too few volumes to tell")
    assert f"at most about {min(1, most):.0%}".replace("%", " %") in verdict.reason


def test_four_volumes_are_too_few_and_twenty_are_not():
    assert [conclude(findings(num)).kind for num in (4, 20)] == ["too few", "nothing found"]


def test_few_volumes_that_are_copies_are_still_called_so_and_a_blind_audit_blind():
    assert conclude(findings(4, num_flagged=4)).kind == "copies"
    assert conclude(findings(4, planted=Proportion(10, 40))).kind == "blind"


@pytest.mark.parametrize(("num", "state"), [(4, "open"), (40, "good")])
def test_the_headline_is_green_only_where_nothing_was_found_by_enough(num, state):
    folders = (folder("train", 20, 16), folder("generated", num, num), folder("heldout", 20, 20))
    report = AuditReport(*folders, findings(num), "tokenizer", "0" * 64, [])
    page = as_html(report, [])
    assert re.findall('<h1 class="([a-z]+)">', page) == [state]
    assert "20 volumes of 16 patients" in page
