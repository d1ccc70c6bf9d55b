"""Distances as functions of which volumes are taken, against the same distances of those volumes alone."""

import numpy as np
import pytest
import torch

from generatect.metrics.fid_2p5d import PLANES, fid_2p5d_between
from generatect.metrics.frechet import FeatureStatistics, frechet_distance
from generatect.metrics.kid import kid
from generatect.metrics.two_sample import frechet_between, kid_between


def volumes(seed: int, num: int, width: int, shift: float = 0.0) -> list[np.ndarray]:
    """Volumes with one to three feature vectors each, as float32 as detectors give them."""
    generator = np.random.default_rng(seed)
    return [(generator.standard_normal((1 + index % 3, width)) + shift).astype(np.float32) for index in range(num)]


def statistics(items: list[np.ndarray]) -> FeatureStatistics:
    return FeatureStatistics.of(torch.from_numpy(np.concatenate(items)))


@pytest.mark.parametrize("width", [5, 60])  # below and above the number of vectors: the two ways to compute it
@pytest.mark.parametrize("ddof", [0, 1])
def test_frechet_of_any_draw(width, ddof):
    a, b = volumes(0, 11, width), volumes(1, 9, width, shift=3)
    distance = frechet_between(a, b, ddof)
    for i, j in (([*range(11)], [*range(9)]), ([0, 0, 5, 7, 2], [8, 3, 3])):
        expected = frechet_distance(statistics([a[k] for k in i]), statistics([b[k] for k in j]), ddof)
        assert distance(np.array(i), np.array(j)) == pytest.approx(expected, rel=1e-7)


def test_kid_of_any_draw():
    a, b = volumes(0, 7, 8), volumes(1, 6, 8, shift=1)
    distance = kid_between(a, b)
    for i, j in (([*range(7)], [*range(6)]), ([1, 4, 2], [5, 0])):
        chosen = [torch.from_numpy(np.concatenate([part[k] for k in draw])) for part, draw in ((a, i), (b, j))]
        assert distance(np.array(i), np.array(j)) == pytest.approx(kid(*chosen), rel=1e-9)


def test_fid_over_three_planes_is_the_mean_of_three():
    a = {plane: volumes(index, 6, 4) for index, plane in enumerate(PLANES)}
    b = {plane: volumes(10 + index, 6, 4, shift=index) for index, plane in enumerate(PLANES)}
    single = [frechet_distance(statistics(a[plane]), statistics(b[plane])) for plane in PLANES]
    everything = np.arange(6)
    assert fid_2p5d_between(a, b)(everything, everything) == pytest.approx(np.mean(single))
    assert max(single) > 2 * min(single)
