"""Templates: what is known is said, what is not known is not."""

import itertools

import pytest

from generatect.errors import InputError
from generatect.text.prompt import published_prompt
from generatect.text.templates import TEMPLATES, Report, find_template

FULL = Report("Nodule of 5 mm.", "Benign (nodule).", None, 45.0, "male")


@pytest.mark.parametrize(
    ("template", "report", "prompt"),
    [
        ("report", FULL, "Nodule of 5 mm. Benign (nodule)."),
        ("report", Report(impression="Benign."), "Benign."),
        ("report", Report(findings="Nodule."), "Nodule."),
        ("report", Report("Nodule.", "Benign.", text="Both as one."), "Both as one."),
        ("report", Report("Nodule.", "Benign.", text=""), ""),
        ("findings", FULL, "Nodule of 5 mm."),
        ("impression", FULL, "Benign (nodule)."),
        ("impression", Report(text="Both as one."), ""),
        ("released", FULL, "45 years old male: Benign nodule."),
        ("released", Report(impression="Benign."), "None years old None: Benign."),
        ("released", Report(text="Clear.", age_years=102.0, sex="female"), "102 years old female: Clear."),
        ("released", Report(findings="Nodule."), ""),
        ("demographics", FULL, "45 years old male: Nodule of 5 mm. Benign (nodule)."),
        ("demographics", Report(text="Clear.", age_years=0.75, sex="female"), "9 months old female: Clear."),
        ("demographics", Report(text="Clear.", age_years=45.9), "45 years old: Clear."),
        ("demographics", Report(text="Clear.", age_years=45.0, sex="other"), "45 years old person: Clear."),
        ("demographics", Report(text="Clear.", sex="male"), "male: Clear."),
        ("demographics", Report(text="Clear."), "Clear."),
        ("demographics", Report(age_years=45.0, sex="male"), ""),
    ],
)
def test_prompts(template, report, prompt):
    assert find_template(template)(report) == prompt


def test_only_the_released_template_says_none():
    parts = itertools.product(["", "Nodule."], ["", "Benign."], [None, "", "Clear."], [None, 0.0, 45.0], [None, "male"])
    for report in itertools.starmap(Report, parts):
        for name in TEMPLATES.keys() - {"released"}:
            assert "None" not in find_template(name)(report)


def test_released_is_the_published_prompt():
    expected = published_prompt(impression="Benign (nodule).", age="045Y", sex="M")
    assert find_template("released")(FULL) == expected


def test_an_unknown_name():
    with pytest.raises(InputError, match=r"data\.template=findngs: .* did you mean 'findings'"):
        find_template("findngs")
