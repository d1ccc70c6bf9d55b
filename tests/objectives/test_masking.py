"""Masking: its laws, the recorded cross-entropy, and the critic's objective."""

import math

import pytest
import torch

from generatect.checkpoints.released_tokens import maskgit_from_original
from generatect.networks.maskgit import MaskGIT
from generatect.objectives.masking import (
    draw_dropped,
    draw_steps,
    masked_cross_entropy,
    masked_token_loss,
    num_masked,
    random_mask,
    sample_ids,
    token_critic_loss,
)
from tests.parity import relative_change

NUM_CODES = 7
GRID = (2, 3, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def within_three_errors(rate: float, probability: float, num: int) -> bool:
    return abs(rate - probability) <= 3 * math.sqrt(probability * (1 - probability) / num)


@pytest.mark.parametrize("num_tokens", [1, 5, 6464])
def test_the_schedule_starts_with_all_and_never_falls_below_one(num_tokens):
    counts = [num_masked(step, 18, num_tokens) for step in range(18)]
    assert counts[0] == num_tokens
    assert min(counts) >= 1
    assert counts == sorted(counts, reverse=True)


def test_masks_have_the_counts_of_their_steps():
    steps = torch.arange(18)
    mask = random_mask(steps, 18, 100, seeded())
    assert mask.sum(1).tolist() == [num_masked(step, 18, 100) for step in range(18)]


def test_each_position_is_masked_as_often_as_any():
    num = 4000
    mask = random_mask(torch.full((num,), 12), 18, 10, seeded())  # half of ten
    assert all(abs(rate - 0.5) <= 4 * math.sqrt(0.25 / num) for rate in mask.float().mean(0).tolist())


def test_steps_are_uniform():
    counts = torch.bincount(draw_steps(9000, 18, seeded()), minlength=18)
    assert len(counts) == 18
    assert ((counts - 500).abs() < 4 * math.sqrt(500)).all()


@pytest.mark.parametrize("probability", [0.0, 0.15, 0.25, 1.0])
def test_text_is_dropped_at_the_rate_of_the_setting(probability):
    dropped = draw_dropped(5000, probability, seeded(1))
    assert within_three_errors(dropped.float().mean().item(), probability, 5000)


class Recorder:
    """A network that keeps what it was given and answers with fixed logits."""

    def __init__(self, logits):
        self.logits = logits

    def __call__(self, ids, text_features, text_mask, drop_text):
        self.ids, self.drop_text = ids, drop_text
        return self.logits


def text(num: int):
    return torch.randn(num, 3, 4), torch.ones(num, 3, dtype=torch.bool)


def test_the_loss_counts_the_masked_tokens_alone():
    ids = torch.randint(NUM_CODES, (4, *GRID), generator=seeded())
    logits = torch.randn(4, *GRID, NUM_CODES, requires_grad=True)
    network = Recorder(logits)
    result = masked_token_loss(network, ids, *text(4), mask_id=NUM_CODES, generator=seeded(), text_drop_prob=0.5)

    assert torch.equal(network.ids == NUM_CODES, result.mask)
    assert torch.equal(network.ids[~result.mask], ids[~result.mask])
    assert torch.equal(network.drop_text, result.drop_text)
    chosen = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    torch.testing.assert_close(result.loss, -chosen[result.mask].mean())
    result.loss.backward()
    assert (logits.grad[~result.mask] == 0).all()


def test_a_perfect_network_has_no_loss():
    ids = torch.randint(NUM_CODES, (2, *GRID), generator=seeded())
    perfect = Recorder(torch.nn.functional.one_hot(ids, NUM_CODES) * 100.0)
    result = masked_token_loss(perfect, ids, *text(2), mask_id=NUM_CODES, generator=seeded())
    assert result.loss < 1e-6
    assert result.accuracy == 1


def test_a_seed_repeats_the_draws():
    ids = torch.randint(NUM_CODES, (4, *GRID), generator=seeded())
    network = Recorder(torch.zeros(4, *GRID, NUM_CODES))
    first, again, other = (
        masked_token_loss(network, ids, *text(4), mask_id=NUM_CODES, generator=seeded(seed)).mask for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def recorded_maskgit(recording) -> MaskGIT:
    names = {"max_seq_len": "max_tokens", "dim_context": "text_width"}
    config = {names.get(k, k): v for k, v in recording.config.items() if k != "patch_shape"}
    network = MaskGIT(**config, compat="released")
    network.load_state_dict(maskgit_from_original(recording.state()))
    return network


@torch.no_grad()
def test_a_text_is_withheld_only_if_the_setting_says_so(load_recording, record_effect):
    """Quirk 3: at 0, as released, no training batch shows the unconditional pass that guidance subtracts."""
    recording = load_recording("maskgit")
    tensors, network = recording.tensors, recorded_maskgit(recording)
    ids = tensors["in.target_ids"].view(-1, *recording.config["patch_shape"])

    def losses(**settings) -> tuple[list[bool], torch.Tensor]:
        results = [
            masked_token_loss(
                network,
                ids,
                tensors["in.text_embeds"],
                tensors["in.text_mask"],
                mask_id=network.mask_id,
                generator=seeded(seed),
                **settings,
            )
            for seed in range(8)
        ]
        return torch.cat([result.drop_text for result in results]).tolist(), results[0].logits

    dropped, logits = losses(text_drop_prob=0.0)
    assert not any(dropped)
    assert any(losses()[0])
    assert not all(losses()[0])
    everywhere, without_text = losses(text_drop_prob=1.0)
    assert all(everywhere)
    change = relative_change(without_text, logits)
    record_effect("quirk 3: text never dropped", "maskgit: change of the logits without it", f"{change:.1%}")
    assert change > 0.01


def test_cross_entropy_agrees_with_the_recording(load_recording, assert_relative):
    recording = load_recording("maskgit")
    tensors, network = recording.tensors, recorded_maskgit(recording)
    grid = (len(tensors["in.token_ids"]), *recording.config["patch_shape"])
    logits = network(tensors["in.token_ids"].view(grid), tensors["in.text_embeds"], tensors["in.text_mask"])
    loss = masked_cross_entropy(logits, tensors["in.target_ids"].view(grid), tensors["in.mask"].view(grid))
    assert_relative(loss[None], recording.expected("out.masked_cross_entropy"))


def test_samples_follow_the_distribution():
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2])
    ids = sample_ids(probabilities.log().expand(4000, -1), seeded())
    for code, probability in enumerate(probabilities.tolist()):
        assert within_three_errors((ids == code).float().mean().item(), probability, 4000)


def test_the_critic_judges_every_sampled_token():
    ids = torch.randint(NUM_CODES, (2, *GRID), generator=seeded())
    logits = torch.randn(2, *GRID, NUM_CODES, requires_grad=True)
    critic = Recorder(torch.zeros(2, *GRID, requires_grad=True))
    result = token_critic_loss(critic, logits, ids, *text(2), generator=seeded())
    wrong = critic.ids != ids
    torch.testing.assert_close(result.loss, torch.tensor(math.log(2)))
    torch.testing.assert_close(result.error_rate, wrong.float().mean())
    result.loss.backward()
    assert logits.grad is None
    torch.testing.assert_close(critic.logits.grad, (0.5 - wrong.float()) / wrong.numel())
