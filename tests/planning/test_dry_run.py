"""Costs found without numbers, against sums done by hand and against torch's own count of what is allocated."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from generatect.networks.maskgit import MaskGIT
from generatect.networks.unet import SuperResUNet
from generatect.planning.dry_run import dry_run

FLOAT = 4


def test_operations_of_products_convolutions_and_attention():
    linear, convolution = nn.Linear(8, 16, bias=False), nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert dry_run(linear, (7, 8)).flops == 2 * 7 * 8 * 16
    assert dry_run(convolution, (2, 3, 10, 12)).flops == 2 * 2 * 3 * 5 * 9 * 10 * 12
    attend = nn.functional.scaled_dot_product_attention
    assert dry_run(attend, *[(2, 3, 50, 8)] * 3).flops == 2 * 2 * (2 * 3 * 50 * 50 * 8)


def test_what_is_dropped_makes_room():
    def chain(x):
        for _ in range(10):
            x = x + 1
        return x

    def keep(x):
        return [x + index for index in range(10)]

    assert dry_run(chain, (1000,)).peak_bytes == 2 * 1000 * FLOAT
    assert dry_run(keep, (1000,)).peak_bytes == 10 * 1000 * FLOAT
    assert dry_run(lambda x: x.view(10, 100).T[1:], (1000,)).peak_bytes == 0


def test_views_and_results_in_place_are_not_counted_twice():
    assert dry_run(lambda x: (x + 1).mul_(2).view(-1), (30, 10)).peak_bytes == 300 * FLOAT


def test_nothing_is_computed():
    seen = []
    network = nn.Linear(4, 4)
    network.register_forward_hook(lambda module, args, out: seen.append(type(out).__name__))
    before = network.weight.clone()
    dry_run(network, (10**6, 4))
    assert seen == ["FakeTensor"]
    assert torch.equal(network.weight, before)


UNET = {"dim": 8, "dim_mults": [1, 2], "num_blocks": 1, "max_text_tokens": 5, "num_text_latents": 2, "text_width": 6}
TOKENS = {"num_tokens": 50, "max_tokens": 240, "dim": 32, "depth": 2, "heads": 2, "dim_head": 16, "text_width": 6}


def unet(x, t):
    network = SuperResUNet(**UNET, heads=2, dim_head=4, cross_attention=[True, True]).eval()
    return lambda x, t: network(x, t, x, t), [(2, 1, 64, 64), (2,)]


def maskgit(*_):
    network, mask = MaskGIT(**TOKENS).eval(), torch.ones(1, 4, dtype=torch.bool)
    return lambda ids, text: network(ids.long(), text, mask), [(1, 10, 4, 6), (1, 4, 6)]


def peak_by_profiler(function, arguments) -> int:
    """Highest balance of the allocations and frees that torch's profiler records."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        function(*arguments)
    balance = highest = 0
    for event in sorted(record.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            balance += event.nbytes()
            highest = max(highest, balance)
    return highest


@pytest.mark.parametrize("make", [unet, maskgit])
@torch.no_grad()
def test_the_peak_of_a_network_is_what_torch_allocates(make):
    torch.manual_seed(0)
    function, shapes = make(None, None)
    arguments = [torch.ones(shape) for shape in shapes]
    function(*arguments)
    assert dry_run(function, *shapes).peak_bytes == pytest.approx(peak_by_profiler(function, arguments), rel=0.15)
