"""What a prompt may be, and the prompt that the released models were trained with (spec §0)."""

from collections.abc import Iterable

from generatect.errors import InputError
from generatect.text.demographics import parse_age, parse_sex

_REMOVED = str.maketrans("", "", "\"'()")


def require_text(text: str, key: str) -> None:
    """Refuses what no file could hold or no model was trained on: half a surrogate pair, NUL.

    Args:
        text: a prompt, as somebody gave it.
        key: what the message calls it.

    Raises:
        InputError: naming the character.
    """
    try:
        text.encode()
        odd = text.find("\0")
    except UnicodeEncodeError as error:
        odd = error.start
    if odd >= 0:
        raise InputError(
            f"{key}: character {odd + 1} is U+{ord(text[odd]):04X}, half of a character or none; expected text that "
            "UTF-8 can encode: type it anew, or set the terminal to UTF-8"
        )


def require_texts(texts: Iterable[object], key: str) -> None:
    """Refuses anything but several texts; a single one would be taken for as many as it has letters.

    Raises:
        InputError: naming what is no text; see `require_text`, too.
    """
    if isinstance(texts, str):
        raise InputError(f"{key}: is one text of {len(texts)} characters; expected a list of texts, such as [text]")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{key}: holds a {type(text).__name__}; expected texts alone")
        require_text(text, key)


def published_prompt(*, impression: str, age: str | int | float | None = None, sex: str | None = None) -> str:
    """`{age} years old {sex}: {impression}`, then without the characters `" ' ( )`.

    Args:
        impression: the report's impression, blanks around it included.
        age: years, or a DICOM PatientAge such as "045Y"; "None" is written where it is missing or unreadable. Two
            digits; where those would lie (102 years, 9 months) the true number of whole years.
        sex: M, F, O or these in words, in any case: male, female and, as the release has left DICOM's code, "O". "None"
            is written for anything else, where the release would repeat whatever the header holds.
    """
    years, known_sex = parse_age(age), parse_sex(sex)
    age_digits = None if years is None else f"{int(years):02d}"
    written_sex = "O" if known_sex == "other" else known_sex
    return clean_prompt(f"{age_digits} years old {written_sex}: {impression}")


def clean_prompt(text: str) -> str:
    """Removes quotation marks, apostrophes and round brackets, as the release did with every prompt."""
    return text.translate(_REMOVED)
