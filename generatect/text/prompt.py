"""The prompt that the released models were trained with (spec §0)."""

from generatect.text.demographics import parse_age, parse_sex

_REMOVED = str.maketrans("", "", "\"'()")


def published_prompt(*, impression: str, age: str | int | float | None = None, sex: str | None = None) -> str:
    """`{age} years old {sex}: {impression}`, then without the characters `" ' ( )`.

    Args:
        impression: the report's impression.
        age: years, or a DICOM PatientAge such as "045Y"; "None" is written where it is missing or unreadable. Two
            digits; where those would lie (102 years, 9 months) the true number of whole years.
        sex: M, F, male or female in any case; "None" is written for anything else.
    """
    years, known_sex = parse_age(age), parse_sex(sex)
    age_digits = None if years is None else f"{int(years):02d}"
    binary_sex = known_sex if known_sex in ("male", "female") else None  # all that the original knows
    return clean_prompt(f"{age_digits} years old {binary_sex}: {impression}")


def clean_prompt(text: str) -> str:
    """Removes quotation marks, apostrophes and round brackets, as the release did with every prompt."""
    return text.translate(_REMOVED)
