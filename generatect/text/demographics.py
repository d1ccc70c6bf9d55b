"""Age and sex as tables and DICOM headers write them, and as a prompt says them."""

import re

MAX_AGE_YEARS = 130
"""Beyond the oldest person there has been; "999Y" is how some archives write an unknown age."""

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([YMWD]?)")
_UNITS_PER_YEAR = {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female", "o": "other", "other": "other"}


def parse_age(cell: str | int | float | None) -> float | None:
    """Age in years; None where a cell holds none that can be one.

    Args:
        cell: DICOM's "045Y", "009M" (9 months: 0.75), "003W", "010D", or a number of years, "45.5" or "45,5".
    """
    match = _AGE.fullmatch(str(cell).strip().upper().replace(",", "."))
    if match is None:
        return None
    years = float(match[1]) / _UNITS_PER_YEAR[match[2]]
    return years if years <= MAX_AGE_YEARS else None


def parse_sex(cell: str | None) -> str | None:
    """Male, female or other, in lower case, of M, F, O or these words in any case; None for anything else."""
    return _SEXES.get((cell or "").strip().lower())


def age_words(age_years: float) -> str:
    """An age as it is said: "45 years old", below two years "9 months old", below one month "10 days old"."""
    if age_years == 0:
        return "less than 1 year old"  # "000Y" says no more
    months = int(round(age_years * 12, 6))  # 7 / 12 * 12 is 7.000000000000001
    if months >= 24:
        return f"{int(age_years)} years old"
    number, unit = (months, "month") if months else (max(1, round(age_years * 365)), "day")
    return f"{number} {unit}{'s' * (number != 1)} old"
