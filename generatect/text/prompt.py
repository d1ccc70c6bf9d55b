"""The prompt that the released models were trained with (spec §0)."""

import re

_REMOVED = str.maketrans("", "", "\"'()")
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"}


def published_prompt(*, impression: str, age: str | int | None = None, sex: str | None = None) -> str:
    """`{age} years old {sex}: {impression}`, then without the characters `" ' ( )`.

    Args:
        impression: the report's impression.
        age: years, or a DICOM PatientAge such as "045Y"; "None" is written where it is missing or unreadable.
        sex: M, F, male or female in any case; "None" is written for anything else.
    """
    return clean_prompt(f"{_years(age)} years old {_SEXES.get((sex or '').strip().lower())}: {impression}")


def clean_prompt(text: str) -> str:
    """Removes quotation marks, apostrophes and round brackets, as the release did with every prompt."""
    return text.translate(_REMOVED)


def _years(age: str | int | None) -> str | None:
    """Two digits, "045Y" → "45". Where those would lie (102 years, 9 months) the true number of whole years."""
    match = re.fullmatch(r"(\d+)([YMWD]?)", str(age).strip().upper()) if age is not None else None
    if match is None:
        return None
    per_year = {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}[match[2]]
    return f"{int(match[1]) // per_year:02d}"
