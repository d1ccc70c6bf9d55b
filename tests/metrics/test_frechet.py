"""The Fréchet distance against closed forms, other ways to the matrix root, and real processes."""

import numpy as np
import pytest
import torch
import torch.multiprocessing

from generatect.errors import InputError
from generatect.metrics.frechet import FeatureStatistics, frechet_distance


def known(mean: list[float], covariance: list[list[float]], count: int = 1000) -> FeatureStatistics:
    """Statistics of a Gaussian, exact."""
    statistics = FeatureStatistics(len(mean))
    statistics.count, statistics.mean = count, torch.tensor(mean, dtype=torch.float64)
    statistics.scatter = torch.tensor(covariance, dtype=torch.float64) * count
    return statistics


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def distance_by_eigenvalues(a: np.ndarray, b: np.ndarray) -> float:
    """The textbook's way: the root of Σ₁ Σ₂ by the eigenvalues of that asymmetric product."""
    first, second = np.cov(a.T, bias=True), np.cov(b.T, bias=True)
    values = np.linalg.eigvals(first @ second)
    root = np.sqrt(values.astype(complex)).real.sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second) - 2 * root)


def mixed(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    a = generator.standard_normal((n, d)) @ generator.standard_normal((d, d))
    return a, generator.standard_normal((m, d)) @ generator.standard_normal((d, d)) + 0.5


def test_gaussians_with_common_axes():
    a = known([1.0, -2.0, 0.5], np.diag([4.0, 1.0, 0.25]).tolist())
    b = known([0.0, 1.0, 0.5], np.diag([1.0, 9.0, 0.25]).tolist())
    assert frechet_distance(a, b) == pytest.approx(1 + 9 + (2 - 1) ** 2 + (1 - 3) ** 2, abs=1e-6)


def test_gaussians_with_axes_of_their_own():
    """For 2 × 2 matrices Tr √M = √(Tr M + 2 √det M)."""
    first, second = np.array([[2.0, 0.8], [0.8, 1.0]]), np.array([[1.0, -0.5], [-0.5, 3.0]])
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = 0.25 + np.trace(first) + np.trace(second) - 2 * root
    result = frechet_distance(known([0.5, 0.0], first.tolist()), known([0.0, 0.0], second.tolist()))
    assert result == pytest.approx(expected, abs=1e-6)


def test_equal_sets_have_no_distance_and_order_does_not_matter():
    features = normal(0, 300, 40)
    statistics = FeatureStatistics.of(features)
    assert frechet_distance(statistics, FeatureStatistics.of(features.flip(0))) == pytest.approx(0, abs=1e-9)
    other = FeatureStatistics.of(normal(1, 200, 40) + 1)
    assert frechet_distance(statistics, other) == pytest.approx(frechet_distance(other, statistics), rel=1e-9)


@pytest.mark.parametrize("num", [2, 5, 40])
def test_covariances_without_full_rank(num):
    features, other = normal(0, num, 64) * 10, normal(1, num, 64)
    result = frechet_distance(FeatureStatistics.of(features), FeatureStatistics.of(other))
    # The root by eigenvalues of the product loses half the digits here.
    assert result == pytest.approx(distance_by_eigenvalues(features.numpy(), other.numpy()), rel=1e-4)
    assert frechet_distance(FeatureStatistics.of(features), FeatureStatistics.of(features)) == pytest.approx(
        0, abs=1e-9
    )


def test_features_that_never_change():
    constant = FeatureStatistics.of(torch.full((10, 6), 3.0))
    other = FeatureStatistics.of(normal(0, 50, 6))
    expected = (other.mean - 3).square().sum() + other.covariance.trace()
    assert frechet_distance(constant, other) == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(500, 400, 64), (300, 300, 24), (20, 25, 32)])
def test_the_root_by_eigenvalues_of_the_product(n, m, d):
    a, b = mixed(n, m, d)
    result = frechet_distance(*(FeatureStatistics.of(torch.from_numpy(part)) for part in (a, b)))
    assert result == pytest.approx(distance_by_eigenvalues(a, b), rel=1e-4)


# scipy.linalg.sqrtm of SciPy 1.17.1 on `mixed(n, m, d)`.
BY_SCIPY = {(500, 400, 64): 2312.78501990299, (300, 300, 24): 295.80846815562944, (20, 25, 32): 940.439408563961}


@pytest.mark.parametrize("sizes", BY_SCIPY)
def test_the_root_by_scipy(sizes):
    statistics = (FeatureStatistics.of(torch.from_numpy(part)) for part in mixed(*sizes))
    assert frechet_distance(*statistics) == pytest.approx(BY_SCIPY[sizes], rel=1e-4)


def test_batches_and_parts_are_the_whole():
    features = normal(0, 500, 12) + 7
    batched, merged = FeatureStatistics(12), FeatureStatistics(12)
    for batch in features.split(33):
        batched.update(batch.float())
    for part in features.split(170):
        merged.merge(FeatureStatistics.of(part))
    merged.merge(FeatureStatistics(12))
    assert (batched.count, merged.count) == (500, 500)
    np.testing.assert_allclose(merged.covariance, np.cov(features.numpy().T, bias=True), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(batched.mean, features.mean(0), rtol=1e-7)


def test_covariances_are_over_n_or_one_less():
    a, b = mixed(10, 12, 3)
    statistics = [FeatureStatistics.of(torch.from_numpy(part)) for part in (a, b)]
    np.testing.assert_allclose(statistics[0].covariance, np.cov(a.T, bias=True), rtol=1e-12)
    over_less = [known(list(part.mean(0)), np.cov(part.T).tolist()) for part in (a, b)]
    assert frechet_distance(*statistics, ddof=1) == pytest.approx(frechet_distance(*over_less), rel=1e-9)
    assert frechet_distance(*statistics, ddof=1) != pytest.approx(frechet_distance(*statistics), rel=1e-3)


def test_features_far_from_zero_lose_no_digits():
    features = normal(0, 1000, 4) * 1e-3
    statistics = FeatureStatistics(4)
    for batch in (features + 1e5).split(100):
        statistics.update(batch)
    np.testing.assert_allclose(statistics.covariance, np.cov(features.numpy().T, bias=True), rtol=1e-4, atol=1e-10)


# What real against real gives though its true distance is 0: 96 features, n items on each side (design/evaluation.md).
# In chunks of 4 the covariances were over N - 1; over N the same items give 172.
FLOORS = [(4, 1, 209.0, 200), (100, 0, 47.8, 30), (1000, 0, 4.8, 6)]


@pytest.mark.parametrize(("num", "ddof", "expected", "repetitions"), FLOORS)
def test_the_floor_of_few_items(num, ddof, expected, repetitions):
    values = [
        frechet_distance(*(FeatureStatistics.of(normal(2 * seed + side, num, 96)) for side in (0, 1)), ddof=ddof)
        for seed in range(repetitions)
    ]
    assert abs(np.mean(values) - expected) <= np.std(values)  # the error of the one number that was published


def test_at_four_items_the_divisor_moves_the_floor():
    values = [
        frechet_distance(*(FeatureStatistics.of(normal(2 * seed + side, 4, 96)) for side in (0, 1)))
        for seed in range(150)
    ]
    assert np.mean(values) == pytest.approx(172, abs=3)


def test_what_is_no_set_of_features_is_refused():
    statistics = FeatureStatistics(3)
    with pytest.raises(InputError, match="width 4: expected 3"):
        statistics.update(torch.zeros(2, 4))
    with pytest.raises(InputError, match="width 4: expected 3"):
        statistics.merge(FeatureStatistics(4))
    with pytest.raises(InputError, match="NaN"):
        statistics.update(torch.tensor([[1.0, float("nan"), 0.0]]))
    with pytest.raises(InputError, match="0 and 2 items: expected at least 2"):
        frechet_distance(statistics, FeatureStatistics.of(torch.zeros(2, 3)))
    with pytest.raises(InputError, match="one detector"):
        frechet_distance(FeatureStatistics.of(torch.zeros(2, 4)), FeatureStatistics.of(torch.zeros(2, 3)))


def _in_a_process(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=world_size)
    features = normal(3, 101, 20) + 5  # 101: no two processes have as many
    statistics = FeatureStatistics(20)
    for batch in features[rank::world_size].split(16):
        statistics.update(batch)
    total = statistics.summed()
    torch.save({"count": total.count, "mean": total.mean, "scatter": total.scatter}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_are_as_one(tmp_path):
    torch.multiprocessing.spawn(_in_a_process, (2, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["count"] == second["count"] == 101
    assert torch.equal(first["scatter"], second["scatter"])
    assert torch.equal(first["mean"], second["mean"])
    whole, total = FeatureStatistics.of(normal(3, 101, 20) + 5), FeatureStatistics(20)
    total.count, total.mean, total.scatter = first["count"], first["mean"], first["scatter"]
    np.testing.assert_allclose(total.covariance, whole.covariance, rtol=1e-12, atol=1e-13)
    assert frechet_distance(total, whole) == pytest.approx(0, abs=1e-12)


def test_one_process_alone_needs_no_group():
    statistics = FeatureStatistics.of(normal(0, 5, 3))
    total = statistics.summed()
    assert total is not statistics
    assert torch.equal(total.scatter, statistics.scatter)
