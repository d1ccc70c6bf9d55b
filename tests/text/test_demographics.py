"""Age and sex, read and said."""

import pytest

from generatect.text.demographics import age_words, parse_age, parse_sex


@pytest.mark.parametrize(
    ("cell", "years"),
    [
        ("045Y", 45.0),
        ("102Y", 102.0),
        ("009M", 0.75),
        ("3W", 3 / 52),
        ("10D", 10 / 365),
        ("45", 45.0),
        ("45.0", 45.0),
        ("45,5", 45.5),
        (45.0, 45.0),
        (45, 45.0),
        (" 45 y ", 45.0),
        ("000Y", 0.0),
        *((cell, None) for cell in ("nan", "", "unknown", "-3", "999Y", "Y", "045YY", "1e3", "inf", None)),
    ],
)
def test_ages(cell, years):
    assert parse_age(cell) == years


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("045Y", "45 years old"),
        ("102Y", "102 years old"),
        ("2Y", "2 years old"),
        ("23M", "23 months old"),
        ("1Y", "12 months old"),
        ("1M", "1 month old"),
        ("3W", "21 days old"),
        ("10D", "10 days old"),
        ("1D", "1 day old"),
        ("000Y", "less than 1 year old"),
        *((f"{months:03d}M", f"{months} months old") for months in range(2, 24)),
        *((f"{days:03d}D", f"{days} days old") for days in range(2, 31)),
    ],
)
def test_ages_as_they_are_said(cell, words):
    assert age_words(parse_age(cell)) == words


def test_sexes():
    assert [parse_sex(cell) for cell in ("M", "male ", "f", "Female", "O", "other")] == [
        *("male", "male", "female", "female", "other", "other")
    ]
    assert [parse_sex(cell) for cell in ("", "nan", "U", "?", None)] == [None] * 5
