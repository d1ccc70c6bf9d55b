"""Pairs as pictures: a generated volume, the training volume nearest to it, and what differs."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from generatect.ct.lettering import font, shorten
from generatect.ct.preview import BRIGHT, DIM, GROUND, body_centre
from generatect.ct.volume import CTVolume
from generatect.evaluation.film import difference_film, film
from generatect.files import atomic_path
from generatect.privacy.alignment import centred
from generatect.privacy.embedded import Embedder
from generatect.privacy.folder import AuditedVolume
from generatect.privacy.proportion import percent
from generatect.privacy.study import Match

TITLES = ("generated", "nearest training volume", "difference")
SHEET_SCALE = 0.6
MARGIN, GAP, HEADING = 24, 14, 30


def films_of(embedder: Embedder, match: Match) -> dict[str, str]:
    """JPEGs in base64 of both volumes, laid upon each other on the finer grid, and of their difference."""
    made, real = (_shown(embedder, volume) for volume in (match.generated, match.train))
    centre = body_centre(real)
    images = (film(made, centre), film(real, centre), difference_film(made, real, centre))
    return dict(zip(TITLES, images, strict=True))


def state_of(match: Match) -> str:
    """Whether a pair is flagged."""
    if match.is_confirmed:
        return "flagged, confirmed by grey values"
    return "flagged" if match.is_flagged else "not flagged"


def numbers_of(match: Match) -> tuple[str, str]:
    """What was measured of a pair, and how many held-out volumes have as much."""
    return (
        f"score {match.score:.2f}: {percent(match.p_value)} of held-out volumes are as near",
        f"correlation {match.correlation:.2f}: {percent(match.correlation_p)} are as alike",
    )


def closest(matches: Sequence[Match], num: int) -> list[Match]:
    """The closest pairs, each training volume once before any comes again."""
    first = {match.train.name: match for match in reversed(matches)}
    return sorted(matches, key=lambda match: (match is not first[match.train.name], match.score))[:num]


def write_sheet(films: Sequence[tuple[Match, Mapping[str, str]]], path: Path) -> None:
    """Writes all pairs below each other as one PNG."""
    rows = [_row(match, images) for match, images in films]
    width = max(row.width for row in rows) + 2 * MARGIN
    picture = Image.new("RGB", (width, sum(row.height + GAP for row in rows) - GAP + 2 * MARGIN), GROUND)
    top = MARGIN
    for row in rows:
        picture.paste(row, (MARGIN, top))
        top += row.height + GAP
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def _shown(embedder: Embedder, volume: AuditedVolume) -> CTVolume:
    preset = embedder.embedding.preset
    scan = embedder.reading.read(volume.path)
    return preset.to_volume(centred(preset.to_model(scan.volume, upscaled=True)), upscaled=True)


def _row(match: Match, images: Mapping[str, str]) -> Image.Image:
    """A pair: three films side by side, and the numbers below the third, which is the lowest."""
    panels = [_opened(image) for image in images.values()]
    height, width = max(panel.height for panel in panels), sum(panel.width + GAP for panel in panels) - GAP
    row = Image.new("RGB", (width, HEADING + height), GROUND)
    draw, left = ImageDraw.Draw(row), 0
    for title, panel, name in zip(images, panels, (match.generated.name, match.train.name, ""), strict=True):
        start = left + font(14).getlength(title) + 10
        draw.text((left, 18), title, font=font(14), fill=BRIGHT, anchor="ls")
        draw.text(
            (start, 18), shorten(name, 12, round(left + panel.width - start)), font=font(12), fill=DIM, anchor="ls"
        )
        row.paste(panel, (left, HEADING))
        left += panel.width + GAP
    top = HEADING + panels[-1].height + 26
    for line, fill in zip((state_of(match), *numbers_of(match)), (BRIGHT, DIM, DIM), strict=True):
        draw.text((left - GAP - panels[-1].width, top), line, font=font(14), fill=fill, anchor="ls")
        top += 22
    return row


def _opened(image: str) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(image)))
    return picture.resize((round(picture.width * SHEET_SCALE), round(picture.height * SHEET_SCALE)))
