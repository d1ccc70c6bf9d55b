"""What fits into which memory."""

import pytest
import torch

from generatect.errors import InputError
from generatect.planning.costs import Costs
from generatect.planning.dry_run import Cost
from generatect.planning.memory import free_bytes, held_bytes, memory_budget, peak_bytes, reset_peak
from generatect.planning.plan import make_plan

CPU = torch.device("cpu")
MB = 10**6
COSTS = Costs(
    token_step=Cost(1000, 1700 * MB),
    dense_bias_bytes=1300 * MB,
    decoder=Cost(10, 100 * MB),
    slice_step=Cost(100, 300 * MB),
    num_slices=20,
    volume_bytes=200 * MB,
)


def plan(budget_mb: int, **changes):
    settings = {"held_bytes": 500 * MB, "weights_bytes": {"tokens": 300 * MB, "slices": 100 * MB}, "max_slices": 16}
    return make_plan(COSTS, budget_bytes=budget_mb * MB, **settings | {"on_cpu": True} | changes)


def test_with_room_everything_is_as_fast_as_it_gets():
    roomy = plan(8000)
    assert (roomy.dense_bias, roomy.slices_per_batch, roomy.offload) == (True, 4, False)
    assert roomy.peak_bytes == (500 + 1700 + 130) * MB  # the last for what kernels take
    assert plan(8000, on_cpu=False).peak_bytes == (500 + 200 + 16 * 300) * MB
    assert plan(8000, on_cpu=False).slices_per_batch == 16
    assert plan(8000, max_slices=2).slices_per_batch == 2


def test_slices_go_before_the_bias_and_the_bias_before_the_weights():
    assert plan(2200, on_cpu=False).slices_per_batch == 5
    assert plan(2200, on_cpu=False).dense_bias
    tight = plan(2000)
    assert (tight.dense_bias, tight.slices_per_batch) == (False, 3)
    tighter = plan(1000, on_cpu=False)
    assert (tighter.dense_bias, tighter.slices_per_batch, tighter.offload) == (False, 1, False)
    tightest = plan(850, on_cpu=False)
    assert (tightest.slices_per_batch, tightest.offload) == (1, True)


@pytest.mark.parametrize("budget_mb", range(1450, 4000, 150))
def test_what_is_chosen_fits(budget_mb):
    assert plan(budget_mb).peak_bytes <= budget_mb * MB


def test_too_little_is_refused_with_what_is_needed():
    with pytest.raises(InputError, match=r"^memory=1.00 GB: .* at least 1.43 GB"):
        plan(1000)


def test_operations_of_a_volume():
    assert COSTS.flops(token_steps=18, slice_steps=3) == 18 * 1000 + 10 + 3 * 20 * 100


@pytest.mark.parametrize(("text", "size"), [("8GB", 8e9), ("8", 8e9), (" 7.5 GiB", 7.5 * 2**30), ("500mb", 5e8)])
def test_sizes_are_read(text, size):
    assert memory_budget(text, CPU) == size


@pytest.mark.parametrize("text", ["much", "-1GB", "0", "8TB", "GB", ""])
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match=r"^memory="):
        memory_budget(text, CPU)


def test_auto_is_what_is_free_and_held():
    assert 0 < held_bytes(CPU) < memory_budget("auto", CPU) < held_bytes(CPU) + free_bytes(CPU) * 2


def test_the_peak_counts_from_where_it_is_told_to():
    reset_peak(CPU)
    before = held_bytes(CPU)
    block = torch.ones(50_000_000)
    del block
    peak = peak_bytes(CPU)
    assert peak is not None
    assert peak - before > 190 * MB
