"""Which weights decay, in which order, and the learning rate in closed form."""

import functools
import math

import pytest
import torch
from torch import nn

from generatect.networks.maskgit import MaskGIT
from generatect.stages.optimizers import build_optimizer, regrouped, rescheduled, warmup_cosine

ADAMW = functools.partial(torch.optim.AdamW, lr=0.1, weight_decay=0.01)
KERNELS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@pytest.fixture
def maskgit() -> MaskGIT:
    return MaskGIT(num_tokens=8, max_tokens=8, dim=8, depth=1, heads=2, dim_head=4, text_width=4)


def test_only_kernels_decay_and_the_order_is_the_network_s(maskgit):
    decayed, others = build_optimizer(ADAMW, [maskgit]).param_groups
    names = {id(parameter): name for name, parameter in maskgit.named_parameters()}
    kernels = [f"{name}.weight" for name, module in maskgit.named_modules() if isinstance(module, KERNELS)]
    assert decayed["weight_decay"] == 0.01
    assert others["weight_decay"] == 0
    assert [names[id(p)] for p in decayed["params"]] == [name for name in names.values() if name in kernels]
    assert [names[id(p)] for p in others["params"]] == [name for name in names.values() if name not in kernels]
    assert any("null_kv" in names[id(p)] for p in others["params"])
    assert any("embedding" in names[id(p)] for p in others["params"])


def test_without_decay_there_is_one_group_and_frozen_weights_are_in_none(maskgit):
    maskgit.embedding.requires_grad_(False)
    (group,) = build_optimizer(functools.partial(torch.optim.AdamW, weight_decay=0.0), [maskgit]).param_groups
    expected = [p for name, p in maskgit.named_parameters() if not name.startswith("embedding")]
    assert all(ours is theirs for ours, theirs in zip(group["params"], expected, strict=True))


@pytest.mark.parametrize(("before", "now"), [(0.0, 0.01), (0.01, 0.0), (0.01, 0.02), (0.0, 0.0)])
def test_with_another_weight_decay_a_state_finds_the_same_weights(maskgit, before, now):
    old = build_optimizer(functools.partial(torch.optim.AdamW, lr=0.1, weight_decay=before), [maskgit])
    for number, parameter in enumerate(maskgit.parameters()):
        parameter.grad = torch.full_like(parameter, number + 1.0)
    old.step()
    new = build_optimizer(functools.partial(torch.optim.AdamW, lr=0.2, weight_decay=now, betas=(0.5, 0.6)), [maskgit])
    new.load_state_dict(regrouped(old.state_dict(), new, [maskgit]))
    for parameter in maskgit.parameters():
        assert torch.equal(new.state[parameter]["exp_avg"], old.state[parameter]["exp_avg"])
    assert [group["weight_decay"] for group in new.param_groups] == ([now, 0] if now else [0])
    assert {(group["lr"], group["betas"]) for group in new.param_groups} == {(0.2, (0.5, 0.6))}


def test_a_schedule_goes_on_at_its_step_with_its_own_peak_and_length(maskgit):
    def schedule(optimizer: torch.optim.Optimizer, num_steps: int):
        return warmup_cosine(optimizer, warmup_steps=2, num_steps=num_steps, final_ratio=0.1)

    old = build_optimizer(functools.partial(torch.optim.AdamW, lr=0.1, weight_decay=0.0), [maskgit])
    saved = schedule(old, 4)
    for _ in range(4):
        old.step()
        saved.step()
    new, whole = (build_optimizer(functools.partial(ADAMW, lr=0.3), [maskgit]) for _ in range(2))
    ours, expected = schedule(new, 8), schedule(whole, 8)
    ours.load_state_dict(rescheduled(saved.state_dict(), ours))
    for _ in range(4):
        whole.step()
        expected.step()
    for _ in range(4):  # the step of the change among them
        assert [group["lr"] for group in new.param_groups] == [group["lr"] for group in whole.param_groups]
        for optimizer, its in ((new, ours), (whole, expected)):
            optimizer.step()
            its.step()


def test_warm_up_is_linear_and_the_rest_half_a_cosine():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, warmup_steps=4, num_steps=12, final_ratio=0.1)
    rates = []
    for _ in range(13):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert rates[4:] == pytest.approx([2 * (0.1 + 0.9 * (1 + math.cos(math.pi * i / 8)) / 2) for i in range(9)])
