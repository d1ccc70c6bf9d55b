"""Letters on pictures, in the one font that Pillow brings along."""

import unicodedata
from functools import cache

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The font has little beyond ASCII: what a report may hold is spelled in what it has.
SUBSTITUTES = str.maketrans({"×": "x", "–": "-", "—": "-", "−": "-", "ı": "i", "≤": "<=", "≥": ">=", "ß": "ss"})
DRAWABLE = "·…“”‘’±°«»"


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
        if lines and font(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > max_lines:
        lines[max_lines - 1 :] = [" ".join(lines[max_lines - 1 :])]
    return [shorten(line, size, width) for line in lines]


def shorten(text: str, size: int, width: int) -> str:
    """The text, or as much of its beginning as fits into `width` pixels with an ellipsis."""
    text = printable(text)
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def printable(text: str) -> str:
    """The text in letters that the font has: accents dropped, signs simplified, a question mark for the rest."""
    letters: list[str] = []
    for letter in text.translate(SUBSTITUTES):
        if letter in DRAWABLE:
            letters.append(letter)
        else:
            letters += [
                part if part.isascii() else "?"
                for part in unicodedata.normalize("NFKD", letter)
                if not unicodedata.combining(part)
            ]
    return "".join(letters)
