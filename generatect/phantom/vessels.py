"""Vessels of the lungs: a branching tree per lung, drawn as tubes where voxels are fine, as density where coarse."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from generatect.phantom.shapes import Canvas, capsule

NUM_TIPS = 340
TIP_RADIUS_MM = 0.85
MURRAY_EXPONENT = 2.6
AVERAGE_EXTENT_MM = (100.0, 72.0, 92.0)


@dataclass(frozen=True)
class Tree:
    """Tubes in the unit box of one lung: z from base to apex, y front to back, x from hilum (0) to chest wall (1).

    Attributes:
        starts, stops: [n, 3] ends of the tubes, zyx, in units of the box.
        radii_mm: [n].
    """

    starts: np.ndarray
    stops: np.ndarray
    radii_mm: np.ndarray


@cache
def tree_template(seed: int) -> Tree:
    """A tree grown towards random tips; each tip joins the node that keeps its way to the hilum short.

    Radii follow Murray's law: the power of a tube's radius is proportional to the number of tips it feeds.
    """
    generator = np.random.default_rng([seed, 3])
    tips = generator.uniform(-1, 1, size=(8 * NUM_TIPS, 3))
    tips[:, 2] = (tips[:, 2] + 1) / 2
    tips = tips[np.square(tips * (0.98, 1, 0.98)).sum(1) < 1][:NUM_TIPS]
    hilum = np.array((-0.05, 0.05, 0.04))
    tips = tips[np.argsort(np.linalg.norm(tips - hilum, axis=1))]
    nodes = np.empty((1 + 2 * NUM_TIPS, 3))
    lengths = np.zeros(len(nodes))
    parents = np.zeros(len(nodes), dtype=int)
    nodes[0] = hilum
    for bend, tip in zip(range(1, len(nodes), 2), tips, strict=True):
        ways = np.linalg.norm(nodes[:bend] - tip, axis=1)
        parent = int(np.argmin(ways + 0.55 * lengths[:bend]))
        # A bend half way, so that branches leave their parents smoothly.
        nodes[bend] = (nodes[parent] + tip) / 2 + generator.normal(0, 0.06 * ways[parent], 3)
        nodes[bend + 1] = tip
        lengths[bend : bend + 2] = lengths[parent] + ways[parent] * np.array((0.5, 1))
        parents[bend : bend + 2] = parent, bend
    feeds = np.zeros(len(nodes))
    feeds[2::2] = 1
    for node in range(len(nodes) - 1, 0, -1):
        feeds[parents[node]] += feeds[node]
    radii = TIP_RADIUS_MM * feeds[1:] ** (1 / MURRAY_EXPONENT)
    return Tree(nodes[parents[1:]], nodes[1:], radii)


@cache
def _samples(seed: int, step_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points along a tree of average size, at most `step_mm` apart: [n, 3] places, [n] volumes, [n] tubes."""
    tree = tree_template(seed)
    lengths = np.linalg.norm((tree.stops - tree.starts) * AVERAGE_EXTENT_MM, axis=1)
    counts = np.maximum(1, np.ceil(lengths / step_mm).astype(int))
    tubes = np.repeat(np.arange(len(counts)), counts)
    order = np.arange(len(tubes)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = ((order + 0.5) / counts[tubes])[:, None]
    places = tree.starts[tubes] * (1 - along) + tree.stops[tubes] * along
    return places, (np.pi * tree.radii_mm**2 * lengths / counts)[tubes], tubes


def lung_vessels(canvas: Canvas, seed: int, origin_mm: np.ndarray, extent_mm: np.ndarray) -> np.ndarray:
    """Fraction of each voxel filled by vessels of one lung.

    Tubes thinner than a voxel are summed up as volume, which is their area average.

    Args:
        canvas: where to draw.
        seed: which tree.
        origin_mm: zyx of the hilum.
        extent_mm: zyx of half the lung's height, half its depth, and its width (negative towards the right).
    """
    tree = tree_template(seed)
    is_thin = tree.radii_mm < 0.5 * math.prod(canvas.spacing_mm) ** (1 / 3)
    coverage = _mean_density(canvas, seed, is_thin, origin_mm, extent_mm)
    if not is_thin.all():
        part = Canvas(coverage, canvas.axes_mm, canvas.spacing_mm)
        starts, stops = origin_mm + tree.starts * extent_mm, origin_mm + tree.stops * extent_mm
        for start, stop, radius in zip(starts[~is_thin], stops[~is_thin], tree.radii_mm[~is_thin], strict=True):
            block = part.box(np.minimum(start, stop) - radius, np.maximum(start, stop) + radius)
            if block is not None:
                np.maximum(block.voxels_hu, capsule(block, start, stop, radius), out=block.voxels_hu)
    return coverage


def _mean_density(
    canvas: Canvas, seed: int, is_thin: np.ndarray, origin_mm: np.ndarray, extent_mm: np.ndarray
) -> np.ndarray:
    """Volume of the thin tubes in each voxel, as a fraction of the voxel."""
    shape = canvas.voxels_hu.shape
    if not is_thin.any():
        return np.zeros(shape, dtype=np.float32)
    step_mm = 2.0 ** math.floor(math.log2(0.5 * min(canvas.spacing_mm)))
    places, volumes, tubes = _samples(seed, step_mm)
    if not is_thin.all():
        chosen = is_thin[tubes]
        places, volumes = places[chosen], volumes[chosen]
    first = np.array([axis[0] for axis in canvas.axes_mm], dtype=np.float64)
    spacing = np.array(canvas.spacing_mm)
    z, y, x = np.floor(places * (extent_mm / spacing) + ((origin_mm - first) / spacing + 0.5)).astype(np.intp).T
    flat = (z * shape[1] + y) * shape[2] + x
    flat[(z < 0) | (z >= shape[0]) | (y < 0) | (y >= shape[1]) | (x < 0) | (x >= shape[2])] = math.prod(shape)
    growth = abs(extent_mm[2]) / AVERAGE_EXTENT_MM[2]
    density = np.bincount(flat, volumes, minlength=math.prod(shape) + 1)[:-1].astype(np.float32)
    density *= growth / math.prod(canvas.spacing_mm)
    return np.minimum(density, 1, out=density).reshape(shape)
