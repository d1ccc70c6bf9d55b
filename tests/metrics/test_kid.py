"""KID against its definition, and against the closed form of what it estimates."""

import numpy as np
import pytest
import torch

from generatect.errors import InputError
from generatect.metrics.kid import kid, kid_of_subsets


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    own = [np.mean([kernel(a, b) for i, a in enumerate(part) for j, b in enumerate(part) if i != j]) for part in (x, y)]
    return own[0] + own[1] - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_the_definition():
    x, y = normal(0, 9, 4), normal(1, 7, 4) + 0.5
    assert kid(x, y) == pytest.approx(by_definition(x.numpy(), y.numpy()), rel=1e-12)


def test_it_has_no_bias_where_items_are_few():
    """Points at ±1 against points at 1, d = 1: E k(x, x') = (8 + 0) / 2, E k(y, y') = 8, E k(x, y) = 4."""
    generator = torch.Generator().manual_seed(0)
    values = [kid(torch.randint(2, (3, 1), generator=generator) * 2.0 - 1, torch.ones(3, 1)) for _ in range(1000)]
    error = np.std(values) / 1000**0.5
    assert np.mean(values) == pytest.approx(4 + 8 - 8, abs=3 * error)
    assert error < 0.3  # pairs of an item with itself would add 8/3


def test_of_equal_distributions_it_is_around_zero_on_both_sides():
    values = [kid(normal(2 * seed, 10, 32), normal(2 * seed + 1, 10, 32)) for seed in range(200)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / 200**0.5


def test_subsets_agree_with_all_items():
    x, y = normal(0, 400, 8), normal(1, 400, 8) + 0.5
    mean, spread = kid_of_subsets(x, y, 100, 50, np.random.default_rng(0))
    assert mean == pytest.approx(kid(x, y), abs=4 * spread / 50**0.5)
    assert spread > 0
    whole, none = kid_of_subsets(x, y, 400, 3, np.random.default_rng(0))
    assert whole == pytest.approx(kid(x, y), rel=1e-9)
    assert none == pytest.approx(0, abs=1e-9)


def test_too_few_items_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        kid(torch.zeros(1, 3), torch.zeros(5, 3))
    with pytest.raises(InputError, match="expected 2 to 5"):
        kid_of_subsets(torch.zeros(9, 3), torch.zeros(5, 3), 6, 2, np.random.default_rng(0))
