"""MaskGIT decoding: the recorded runs, and the laws of masking."""

from itertools import pairwise

import pytest
import torch

from generatect.checkpoints.released_tokens import (
    ctvit_from_original,
    maskgit_from_original,
    token_critic_from_original,
)
from generatect.errors import InputError
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic
from generatect.objectives.masking import num_masked
from generatect.sampling.maskgit import decode_tokens, gumbel_noise

NUM_CODES = 6
GRID = (2, 3, 3)


def released_ctvit(recording) -> CTViT:
    config = dict(recording.config["ctvit"])
    config["slice_patch_size"] = config.pop("temporal_patch_size")
    network = CTViT(**config, compat="released")
    network.load_state_dict(ctvit_from_original(recording.state("state.ctvit.")))
    return network.eval()


def released_token_network(kind, mapping, recording, prefix, **changes):
    config = recording.config["maskgit"] | changes
    network = kind(
        num_tokens=config["num_tokens"],
        max_tokens=config["max_seq_len"],
        dim=config["dim"],
        depth=config["depth"],
        heads=config["heads"],
        dim_head=config["dim_head"],
        text_width=config["dim_context"],
        compat="released",
    )
    network.load_state_dict(mapping(recording.state(prefix)))
    return network.eval()


@pytest.mark.parametrize("name", ["maskgit_sampling", "maskgit_sampling_critic", "maskgit_sampling_continuation"])
@torch.no_grad()
def test_recorded_runs(load_recording, assert_relative, assert_identical, name):
    recording = load_recording(name)
    tensors, config = recording.tensors, recording.config
    ctvit = released_ctvit(recording)
    maskgit = released_token_network(MaskGIT, maskgit_from_original, recording, "state.maskgit.")
    critic = None
    if config.get("critic_depth"):
        critic = released_token_network(
            TokenCritic, token_critic_from_original, recording, "state.critic.", depth=config["critic_depth"]
        )
    prime_ids = ctvit.tokenize(tensors["in.prime_slices"]) if "in.prime_slices" in tensors else None
    num_primed = 0 if prime_ids is None else tensors["in.prime_slices"].shape[2]
    num_slices = num_primed + tensors["out.video"].shape[2]

    steps: list[torch.Tensor] = []
    ids = decode_tokens(
        maskgit,
        token_grid=ctvit.token_grid(num_slices),
        mask_id=maskgit.mask_id,
        text_features=tensors["in.text_embeds"],
        text_mask=tensors["in.text_mask"],
        generator=torch.Generator(),
        num_steps=config["steps"],
        guidance=config["guidance"] if "guidance" in config else config["cond_scale"],
        temperature=config["starting_temperature"],
        prime_ids=prime_ids,
        critic=critic,
        critic_noise_scale=config.get("critic_noise_K", 1.0),
        noise=tensors["in.gumbel_noise"].__getitem__,
        critic_noise=tensors["in.critic_uniform"].__getitem__ if critic else None,
        on_step=lambda step, ids: steps.append(ids.flatten(1)),
    )
    assert_identical(torch.stack(steps), recording.expected("out.input_ids_per_step"))
    assert_relative(ctvit.decode_ids(ids)[:, :, num_primed:], recording.expected("out.video"), 1e-4)


class Preference:
    """A network whose logits are a fixed table, plus a constant wherever the text speaks for a code."""

    def __init__(self, seed: int = 0):
        self.table = torch.randn(*GRID, NUM_CODES, generator=torch.Generator().manual_seed(seed))

    def __call__(self, ids, text_features, text_mask, drop_text):
        spoken = text_features.sum(1)
        if drop_text is not None:
            spoken = spoken * ~drop_text[:, None]
        return self.table.expand(len(ids), -1, -1, -1, -1) + spoken[:, None, None, None, :]


def decode(network=None, *, seed: int = 0, spoken: float = 0.0, **options):
    features = torch.zeros(2, 1, NUM_CODES)
    features[..., 3] = spoken
    return decode_tokens(
        network or Preference(),
        **{
            "token_grid": GRID,
            "mask_id": NUM_CODES,
            "text_features": features,
            "text_mask": torch.ones(2, 1, dtype=torch.bool),
            "generator": torch.Generator().manual_seed(seed),
            "num_steps": 6,
        }
        | options,
    )


@pytest.mark.parametrize("num_steps", [1, 2, 7, 40])
def test_each_step_hides_its_share_and_nothing_stays_hidden(num_steps):
    hidden: list[list[int]] = []
    ids = decode(
        num_steps=num_steps, on_step=lambda step, ids: hidden.append((ids == NUM_CODES).flatten(1).sum(1).tolist())
    )
    assert hidden == [[num_masked(step, num_steps, 18)] * 2 for step in range(num_steps)]
    assert ids.shape == (2, *GRID)
    assert ids.max() < NUM_CODES


def test_a_seed_repeats_and_another_differs():
    assert torch.equal(decode(seed=3), decode(seed=3))
    assert not torch.equal(decode(seed=3, temperature=2.0), decode(seed=4, temperature=2.0))


def test_at_temperature_zero_the_likeliest_code_wins():
    network = Preference()
    assert torch.equal(decode(network, temperature=0.0), network.table.argmax(-1).expand(2, -1, -1, -1))


def test_guidance_amplifies_the_text():
    assert (decode(spoken=1.0, guidance=0.0) != 3).any()
    assert (decode(spoken=1.0, guidance=20.0) == 3).all()


def test_what_is_known_is_not_hidden_again():
    seen: list[torch.Tensor] = []
    decode(on_step=lambda step, ids: seen.append(ids))
    for before, after in pairwise(seen):
        assert torch.equal(after[before != NUM_CODES], before[before != NUM_CODES])


def test_a_critic_may_hide_what_was_known():
    """One that changes its mind: it dislikes the first half of the tokens at even calls, the second at odd ones."""
    calls: list[int] = []

    def critic(ids, text_features, text_mask, drop_text):
        calls.append(len(ids))
        half = (torch.arange(18) < 9).float() * (10 if len(calls) % 2 else -10)
        return half.view(GRID).expand(len(ids), -1, -1, -1)

    seen: list[torch.Tensor] = []
    ids = decode(critic=critic, on_step=lambda step, ids: seen.append(ids == NUM_CODES))
    assert any((after & ~before).any() for before, after in pairwise(seen))
    assert calls == [4] * 5  # with and without text in one batch, and not after the last step
    assert ids.max() < NUM_CODES


def test_priming_tokens_are_never_hidden_or_changed():
    prime = torch.randint(NUM_CODES, (2, 1, 3, 3))
    seen: list[torch.Tensor] = []
    ids = decode(prime_ids=prime, on_step=lambda step, ids: seen.append(ids[:, :1]))
    assert all(torch.equal(head, prime) for head in [*seen, ids[:, :1]])
    assert ids.max() < NUM_CODES


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (2, 2, 3, 3), (2, 1, 3, 2)])
def test_priming_tokens_must_fit(shape):
    with pytest.raises(InputError, match="priming tokens"):
        decode(prime_ids=torch.zeros(shape, dtype=torch.int64))


def test_no_steps_are_refused():
    with pytest.raises(InputError, match="num_steps=0"):
        decode(num_steps=0)


def test_gumbel_noise_has_its_mean_and_variance():
    noise = gumbel_noise((200_000,), torch.Generator().manual_seed(0), torch.device("cpu"))
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)
    assert noise.var().item() == pytest.approx(torch.pi**2 / 6, rel=0.03)
