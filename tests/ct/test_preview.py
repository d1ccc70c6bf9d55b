"""Pictures: true proportions, the patient's right at the left, the same bytes for the same volume."""

import numpy as np
import pytest
from PIL import Image

from generatect.ct import lettering
from generatect.ct.grid import Grid
from generatect.ct.lettering import font, printable, shorten, wrap
from generatect.ct.preview import PLANES, body_centre, comparison, montage
from generatect.ct.volume import CTVolume
from generatect.errors import InputError


@pytest.fixture
def volume() -> CTVolume:
    """Air, with a body off the middle and a bright marker at its superior, anterior right."""
    grid = Grid((10, 40, 40), (8.0, 2.0, 2.0))
    voxels = np.full(grid.shape_zyx, -1000, np.int16)
    voxels[2:10, 10:30, 4:24] = 0
    voxels[8:10, 10:14, 4:8] = 1000
    return CTVolume(voxels, grid.affine())


def test_planes_face_the_reader_as_radiologists_expect(volume):
    axial, coronal, sagittal = (plane.cut(volume, index) for plane, index in zip(PLANES, (9, 11, 5), strict=True))
    assert axial[10, 4] == 1000  # anterior right: above, at the left
    assert coronal[0, 4] == 1000  # superior right: above, at the left
    assert sagittal[0, 10] == 1000  # superior anterior: above, at the left
    assert [plane.letters for plane in PLANES] == [("R", "L", "A", "P"), ("R", "L", "S", "I"), ("A", "P", "S", "I")]
    assert [plane.size_mm(volume) for plane in PLANES] == [(80, 80), (80, 80), (80, 80)]


def test_the_cut_goes_through_the_body(volume):
    assert body_centre(volume) == (5, 19, 13)
    empty = CTVolume(np.full((4, 6, 8), -1000, np.int16), np.eye(4))
    assert body_centre(empty) == (1, 2, 3)


def test_pictures_are_written_and_repeat(volume, tmp_path):
    montage(volume, tmp_path / "one.png")
    montage(volume, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    comparison({"scan": volume, "made": volume}, tmp_path / "pair.png", "A prompt, worded at length. " * 40)
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "pair.png") as pair:
        assert pair.width > one.width
        assert not one.info  # no words but those in the picture
    with pytest.raises(InputError, match=r"\.png"):
        montage(volume, tmp_path / "one.jpg")
    with pytest.raises(InputError, match="no volume"):
        comparison({}, tmp_path / "none.png")


def test_any_report_can_be_lettered():
    assert printable("3 × 4 mm – İstanbul, naïve “mass” 肺") == "3 x 4 mm - Istanbul, naive “mass” ?"
    assert shorten("short", 15, 500) == "short"
    lines = wrap("one two three four five six seven " * 9, 15, 120, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(font(15).getlength(line) <= 120 for line in lines)
    assert wrap("", 15, 100, 3) == []


@pytest.mark.parametrize("text", ["There is a small nodule. ", "x", "Größe", "肺"])
def test_a_caption_costs_the_same_however_long_the_report_is(text, monkeypatch):
    measured = []

    class Counting:
        def __init__(self, size):
            self.font = font(size)

        def getlength(self, line):
            measured.append(len(line))
            return self.font.getlength(line)

    monkeypatch.setattr(lettering, "font", Counting)
    costs = []
    for length in (4_000, 400_000):
        measured.clear()
        lines = lettering.wrap((text * length)[:length], 13, 700, 2)
        assert len(lines) <= 2
        assert lines[-1].endswith("…")
        costs.append(sum(measured))
    assert costs[0] == costs[1] < 50_000


def test_a_caption_holds_as_much_as_fits():
    text = "A nodule of 8 mm in the right upper lobe, pleural effusion, no pneumothorax."
    for width in range(0, 500, 23):
        longest = max(
            (text[:end].rstrip() + "…" for end in range(len(text)) if font(12).getlength(text[:end] + "…") <= width),
            key=len,
            default="…",
        )
        assert shorten(text, 12, width) == (text if font(12).getlength(text) <= width else longest)


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\n", "\x00", "\x1b", "\u00a0"])
def test_line_ends_and_control_characters_are_spaces(end):
    assert printable(f"nodule{end}effusion") == "nodule effusion"
    assert wrap(f"nodule{end}effusion", 12, 700, 1) == ["nodule effusion"]
    assert shorten(f"nodule{end}effusion", 12, 30).endswith("…")
