"""Our batch norm is torch's, and forgets what is no number; that processes share it, test_sharing shows."""

import torch
from torch import nn

from generatect.networks.batch_norm import BatchNorm


def pair() -> tuple[BatchNorm, nn.BatchNorm2d]:
    ours, theirs = BatchNorm(3), nn.BatchNorm2d(3)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([0.5, 1.0, -2.0]))
        theirs.bias.copy_(torch.tensor([0.1, 0.0, 3.0]))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def batch(seed: int) -> torch.Tensor:
    return 3 * torch.randn(8, 3, 5, 4, generator=torch.Generator().manual_seed(seed)) + 1


def test_it_is_torchs_in_values_gradients_and_what_it_remembers():
    ours, theirs = pair()
    for seed in range(3):
        inputs = [batch(seed).requires_grad_() for _ in range(2)]
        for norm, values in zip((ours, theirs), inputs, strict=True):
            norm(values).pow(3).sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    count = 8 * 5 * 4  # torch remembers the variance of a sample, we that of the batch
    torch.testing.assert_close(ours.running_var - 0.9**3, (theirs.running_var - 0.9**3) * (count - 1) / count)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(ours(batch(9)), theirs(batch(9)), rtol=1e-4, atol=1e-4)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours.eval()(batch(9)), theirs.eval()(batch(9)))


def test_what_is_not_finite_is_not_remembered():
    ours, _ = pair()
    ours(batch(0))
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    ours(batch(1).fill_(torch.nan))
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())
    ours(batch(1))
    assert not torch.equal(ours.running_mean, before["running_mean"])


def test_a_batch_of_one_value_is_no_error():
    assert BatchNorm(3)(torch.ones(1, 3, 1, 1)).isfinite().all()
