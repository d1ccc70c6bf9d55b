"""Letters on pictures, in the one font that Pillow brings along."""

import unicodedata
from bisect import bisect_right
from functools import cache

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The font has little beyond ASCII: what a report may hold is spelled in what it has.
SUBSTITUTES = str.maketrans({"×": "x", "–": "-", "—": "-", "−": "-", "ı": "i", "≤": "<=", "≥": ">=", "ß": "ss"})
DRAWABLE = "·…“”‘’±°«»"
BLANK = {"Cc", "Zl", "Zp", "Zs"}
"""Unicode's categories of control characters, of separators of lines and paragraphs, and of spaces of any width."""


@cache
def font(size: int) -> Font:
    """Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)


def outlined(
    draw: ImageDraw.ImageDraw, place: tuple[float | int, float | int], text: str, fill: str, anchor: str, size: int = 15
) -> None:
    """Draw text that stays readable on bright tissue."""
    draw.text(place, text, font=font(size), fill=fill, anchor=anchor, stroke_width=2, stroke_fill="black")


def wrap(text: str, size: int, width: int, max_lines: int) -> list[str]:
    """Lines of at most `width` pixels; where there are too many, the last one ends in an ellipsis."""
    lines: list[str] = []
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _fits(longer, size, width):
            lines[-1] = longer
        elif len(lines) < max_lines:
            lines.append(word)
        else:  # too wide for the last line, so `shorten` ends it there; what follows would not be seen
            lines[-1] = longer
            break
    return [shorten(line, size, width) for line in lines]


def shorten(text: str, size: int, width: int) -> str:
    """The text, or as much of its beginning as fits into `width` pixels with an ellipsis."""
    text = printable(text)
    if _fits(text, size, width):
        return text
    lengths = range(min(len(text), max(width, 0)) + 1)
    fitting = bisect_right(lengths, width, key=lambda length: font(size).getlength(f"{text[:length]}…"))
    return f"{text[: max(0, fitting - 1)].rstrip()}…"


def _fits(text: str, size: int, width: int) -> bool:
    """Whether printable text takes at most `width` pixels: a long one is not measured, as no letter is below one."""
    return len(text) <= width and font(size).getlength(text) <= width


def printable(text: str) -> str:
    """The text in letters that the font has, on one line.

    Accents are dropped, signs simplified, line ends and control characters become spaces, the rest question marks.
    """
    if text.isascii() and text.isprintable():
        return text
    letters: list[str] = []
    for letter in text.translate(SUBSTITUTES):
        if letter in DRAWABLE:
            letters.append(letter)
        elif unicodedata.category(letter) in BLANK:
            letters.append(" ")
        else:
            letters += [
                part if part.isascii() else "?"
                for part in unicodedata.normalize("NFKD", letter)
                if not unicodedata.combining(part)
            ]
    return "".join(letters)
