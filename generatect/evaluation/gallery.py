"""The part of the report that shows volumes: real, reconstructed and generated, with the prompt beneath."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from generatect.ct.nifti import read_nifti
from generatect.ct.preview import body_centre
from generatect.evaluation.film import film


@dataclass(frozen=True)
class Exhibit:
    """Volumes that belong to one prompt.

    Attributes:
        name: of the volume.
        prompt: the report.
        volumes: title → file, from left to right.
    """

    name: str
    prompt: str
    volumes: Mapping[str, Path]


def gallery(exhibits: Sequence[Exhibit]) -> str:
    """The section; empty without exhibits."""
    if not exhibits:
        return ""
    shown = "".join(_exhibit(exhibit) for exhibit in exhibits)
    return (
        '<section id="gallery">\n<h2>Real, reconstructed, generated</h2>\n'
        '<p class="aside">Axial, coronal and sagittal plane through the middle of the body; lung window above (W 1500, '
        "L -600), mediastinal window below (W 400, L 40). The patient's right, or front, is at the left. All pictures "
        f"have one scale.</p>\n{shown}</section>\n"
    )


def picture(image: str, alt: str) -> str:
    """A JPEG in base64 as an element of the page."""
    return f'<div class="film"><img alt="{escape(alt)}" src="data:image/jpeg;base64,{image}"></div>'


def _exhibit(exhibit: Exhibit) -> str:
    cells = []
    for title, path in exhibit.volumes.items():
        volume = read_nifti(path, hu_policy="already_hu")
        size = " × ".join(map(str, volume.shape_zyx))
        image = film(volume, body_centre(volume))
        cells.append(
            f"<figure><figcaption><strong>{escape(title)}</strong><span>{size}</span></figcaption>"
            f"{picture(image, f'{title}, three planes in two windows')}</figure>"
        )
    return (
        f'<article class="exhibit">\n<div class="three">{"".join(cells)}</div>\n'
        f'<p class="prompt">{escape(exhibit.prompt)}</p>\n</article>\n'
    )
