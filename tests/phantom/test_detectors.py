"""Detectors find what was painted, read nothing but voxels, and survive a file."""

import numpy as np
import pytest

from generatect.ct.grid import Grid
from generatect.errors import InputError
from generatect.metrics.auroc import auroc
from generatect.phantom.case import sample_case
from generatect.phantom.detectors import Detectors, ridge, separations, truth
from generatect.phantom.features import blur, pool
from generatect.phantom.findings import LABELS
from generatect.phantom.render import render

GRID = Grid((9, 24, 24), (33.5, 16.0, 16.0))


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    return Detectors.fit(GRID, num=450)


def test_detectors_separate_phantoms_never_seen(detectors):
    cases = [sample_case(seed, 0.5) for seed in range(80)]
    volumes = np.stack([blur(render(case, GRID, 30.0).voxels_hu, 0.5) for case in cases])
    scores = detectors.score_batch(volumes)
    assert set(scores) == set(LABELS)
    pairs = separations(np.stack([truth(case) for case in cases]), scores)
    for key, (positive, negative) in pairs.items():
        area = auroc(positive, negative).value
        if "|" in key:
            assert 0.25 < area < 0.75, key
        else:
            assert area > 0.85, key


def test_one_volume_scores_as_in_a_batch_and_after_a_file(detectors, tmp_path):
    volumes = np.stack([render(sample_case(seed), GRID).voxels_hu for seed in (1, 2)])
    batch = detectors.score_batch(volumes)
    detectors.save(tmp_path / "detectors.npz")
    loaded = Detectors.load(tmp_path / "detectors.npz")
    assert loaded.grid == GRID
    for index, volume in enumerate(volumes):
        alone = loaded.scores(volume)
        assert alone == pytest.approx({key: values[index] for key, values in batch.items()})


def test_other_grids_and_files_are_refused(detectors, tmp_path):
    with pytest.raises(InputError, match=r"\(9, 24, 24\)"):
        detectors.scores(np.zeros((9, 24, 23), dtype=np.float32))
    with pytest.raises(InputError, match="no such file"):
        Detectors.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", names=np.array(["a"]))
    with pytest.raises(InputError, match="other detectors"):
        Detectors.load(tmp_path / "other.npz")


def test_a_damaged_file_is_one_line_whatever_became_of_it(detectors, tmp_path):
    path = tmp_path / "detectors.npz"
    detectors.save(path)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (
        b"",
        b"PK",
        content[:40],
        content[:-30],
        content[: len(content) // 2],
        bytes(flipped),
        b"\x93NUMPY",
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged; fit the detectors again"):
            Detectors.load(path)


def test_the_dual_is_the_ridge_regression():
    generator = np.random.default_rng(0)
    features, targets = generator.normal(size=(12, 5)), generator.normal(size=(12, 2))
    weights, mean, bias = ridge(features, targets, 0.3)
    centred = features - features.mean(0)
    penalty = 0.3 * np.square(centred).sum() / 12
    primal = np.linalg.solve(centred.T @ centred + penalty * np.eye(5), centred.T @ (targets - targets.mean(0)))
    np.testing.assert_allclose(weights, primal, rtol=1e-9)
    np.testing.assert_allclose(mean, features.mean(0))
    np.testing.assert_allclose(bias, targets.mean(0))


def test_pooling_averages_areas_and_blur_keeps_the_mean():
    generator = np.random.default_rng(0)
    voxels = generator.uniform(-900, -300, size=(34, 36, 36)).astype(np.float32)
    pooled = pool(voxels)[: 17 * 24 * 24]
    assert pooled.mean() * 1000 == pytest.approx(voxels.mean(), rel=1e-5)
    first = (voxels[:2, 0, 0] + voxels[:2, 0, 1] / 2 + voxels[:2, 1, 0] / 2 + voxels[:2, 1, 1] / 4).sum() / 4.5
    assert pooled[0] * 1000 == pytest.approx(first, rel=1e-5)
    constant = np.full((4, 4, 4), 7, dtype=np.float32)
    np.testing.assert_allclose(blur(constant, 0.8), constant, rtol=1e-6)
    assert blur(voxels, 1.0).std() < 0.6 * voxels.std()
