"""Projections and walks: what is along the lines, at true proportions, and labelled."""

import numpy as np
import pytest
from PIL import Image

from generatect.ct.animation import BAND_PX, MAX_GIF_PICTURES, walk, write_gif
from generatect.ct.grid import Grid
from generatect.ct.intensity import WINDOWS, window
from generatect.ct.preview import MARGIN, PLANES
from generatect.ct.projection import PROJECTION_WINDOWS, project, projections
from generatect.ct.volume import CTVolume
from generatect.errors import InputError


@pytest.fixture
def volume() -> CTVolume:
    grid = Grid((5, 20, 30), (8.0, 2.0, 1.0))
    voxels = np.full(grid.shape_zyx, -800, np.int16)
    voxels[3, 4, 7] = 900  # one bright place, one dark
    voxels[1, 10, 20] = -1000
    return CTVolume(voxels, grid.affine())


def test_a_point_is_found_where_it_lies(volume):
    """Axial pictures have the front at the top, the others the head."""
    axial, coronal, sagittal = (project(volume, plane, "maximum") for plane in PLANES)
    assert [tuple(np.argwhere(picture == 900)[0]) for picture in (axial, coronal, sagittal)] == [(4, 7), (1, 7), (1, 4)]
    dark = project(volume, PLANES[0], "minimum")
    assert np.argwhere(dark == -1000).tolist() == [[10, 20]]
    mean = project(volume, PLANES[0], "mean")
    assert mean[4, 7] == pytest.approx((900 - 4 * 800) / 5)


def test_an_unknown_kind_is_refused(volume, tmp_path):
    with pytest.raises(InputError, match="'median'"):
        project(volume, PLANES[0], "median")
    with pytest.raises(InputError, match=r"expected a name ending in \.png"):
        projections(volume, tmp_path / "a.jpg", "maximum")


def test_projections_are_written_for_all_planes(volume, tmp_path):
    projections(volume, tmp_path / "a.png", "maximum", "A caption. SYNTHETIC")
    projections(volume, tmp_path / "b.png", "maximum")
    with Image.open(tmp_path / "a.png") as with_caption, Image.open(tmp_path / "b.png") as without:
        assert with_caption.height > without.height
        panels = np.asarray(without)[MARGIN + 24 :, :, 2]  # below the heading; the letters have little blue
        bright = np.rint(window(np.full(1, 900.0), *PROJECTION_WINDOWS["maximum"]) * 255)[0]
        assert panels.max() == pytest.approx(bright, abs=3)


def test_a_walk_shows_each_slice_in_its_window_at_true_proportions(volume):
    pictures = list(walk(volume, "lung", 60, "SYNTHETIC"))
    assert len(pictures) == 5
    assert pictures[0].shape == (2 * round(40 * 60 / 40 / 2) + BAND_PX, 2 * round(30 * 60 / 40 / 2))
    assert all(side % 2 == 0 for side in pictures[0].shape)
    level = round(float(window(np.full(1, -800.0), *WINDOWS["lung"])[0]) * 255)
    assert pictures[0][50, 20] == level
    assert pictures[3][:20, :20].max() > pictures[0][:20, :20].max() + 50  # the bright place is in the fourth
    assert pictures[0][-BAND_PX:].max() > 100  # the label


def test_a_gif_holds_every_slice_of_few_and_some_of_many(volume, tmp_path):
    write_gif(volume, tmp_path / "few.gif", size_px=64, label="SYNTHETIC")
    with Image.open(tmp_path / "few.gif") as picture:
        assert picture.n_frames == 5
    grid = Grid((150, 8, 8), (1.0, 1.0, 1.0))
    many = CTVolume(np.random.default_rng(0).integers(-1000, 0, grid.shape_zyx).astype(np.int16), grid.affine())
    write_gif(many, tmp_path / "many.gif", size_px=64)
    with Image.open(tmp_path / "many.gif") as picture:
        assert picture.n_frames == MAX_GIF_PICTURES
    with pytest.raises(InputError, match="window=brain"):
        write_gif(many, tmp_path / "x.gif", "brain")
