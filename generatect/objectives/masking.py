"""MaskGIT: hide random tokens, predict them from the rest and the text; and the token critic's objective.

Chang et al. 2022 with the schedule of spec §2. Networks come as arguments; randomness is drawn on the CPU, so that a
seed means the same on every device.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


class MaskedTokenLoss(NamedTuple):
    """Result of one MaskGIT objective evaluation."""

    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]  # share of the masked tokens whose most likely prediction is right
    logits: Float[Tensor, "b t h w v"]  # of every position: the token critic learns from samples of these
    mask: Bool[Tensor, "b t h w"]
    drop_text: Bool[Tensor, " b"]


class TokenCriticLoss(NamedTuple):
    """Result of one token critic objective evaluation."""

    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]  # share of the tokens judged rightly at threshold 0
    error_rate: Float[Tensor, ""]  # share of the sampled tokens that are wrong


def num_masked(step: int, num_steps: int, num_tokens: int) -> int:
    """Tokens hidden at decoding step 0..num_steps-1: max(1, round(cos(step / num_steps · π/2) · num_tokens))."""
    return max(1, round(math.cos(step / num_steps * math.pi / 2) * num_tokens))


def draw_steps(num_samples: int, num_steps: int, generator: torch.Generator) -> Int[Tensor, " b"]:
    """Uniform steps in 0..num_steps-1: training meets just the mask ratios that decoding meets."""
    return torch.randint(num_steps, (num_samples,), generator=generator)


def random_mask(
    steps: Int[Tensor, " b"], num_steps: int, num_tokens: int, generator: torch.Generator
) -> Bool[Tensor, "b n"]:
    """Exactly `num_masked(step)` positions of each row, uniformly at random, on the CPU."""
    counts = torch.tensor([num_masked(step, num_steps, num_tokens) for step in steps.tolist()])
    rank = torch.rand(len(steps), num_tokens, generator=generator).argsort(dim=1).argsort(dim=1)
    return rank < counts[:, None]


def draw_dropped(num_samples: int, drop_prob: float, generator: torch.Generator) -> Bool[Tensor, " b"]:
    """True, with probability `drop_prob` for each sample by itself, where the text is to be withheld."""
    return torch.rand(num_samples, generator=generator) < drop_prob


def masked_cross_entropy(
    logits: Float[Tensor, "*batch v"],
    ids: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean cross-entropy (nats) over the positions where `mask` is set, each counting the same."""
    return F.cross_entropy(logits[mask].float(), ids[mask], label_smoothing=label_smoothing)


def masked_token_loss(
    network: Callable[..., Tensor],
    ids: Int[Tensor, "b t h w"],
    text_features: Float[Tensor, "b l d"],
    text_mask: Bool[Tensor, "b l"],
    *,
    mask_id: int,
    generator: torch.Generator,
    text_drop_prob: float = 0.25,
    num_steps: int = 18,
    label_smoothing: float = 0.0,
    mask: Bool[Tensor, "b t h w"] | None = None,
    drop_text: Bool[Tensor, " b"] | None = None,
) -> MaskedTokenLoss:
    """Cross-entropy of randomly hidden tokens.

    Args:
        network: (ids, text_features, text_mask, drop_text) → logits "b t h w v".
        ids: true codes.
        text_features: text, zero where `text_mask` is False.
        text_mask: True at real text tokens.
        mask_id: id that stands for a hidden token.
        generator: CPU generator of every draw below that is not given.
        text_drop_prob: probability of withholding a sample's text. Guidance needs it; the release never did (quirk 3).
        num_steps: decoding steps whose mask ratios are trained.
        label_smoothing: as in `torch.nn.functional.cross_entropy`.
        mask: True at the hidden tokens.
        drop_text: True where a sample's text is withheld.
    """
    num_samples, device = len(ids), ids.device
    if mask is None:
        steps = draw_steps(num_samples, num_steps, generator)
        mask = random_mask(steps, num_steps, ids[0].numel(), generator).to(device).view_as(ids)
    if drop_text is None:
        drop_text = draw_dropped(num_samples, text_drop_prob, generator).to(device)

    logits = network(ids.masked_fill(mask, mask_id), text_features, text_mask, drop_text)
    loss = masked_cross_entropy(logits, ids, mask, label_smoothing)
    accuracy = (logits.detach().argmax(-1) == ids)[mask].float().mean()
    return MaskedTokenLoss(loss, accuracy, logits, mask, drop_text)


@torch.no_grad()
def sample_ids(logits: Float[Tensor, "*batch v"], generator: torch.Generator) -> Int[Tensor, "*batch"]:
    """A draw from softmax(logits) at every position, by inverting the distribution function.

    That takes one uniform number per position, where the Gumbel trick takes one per position and code.
    """
    cumulative = logits.float().softmax(dim=-1).cumsum(dim=-1)
    # rand < 1 and the last entry is the rounded total, so scaling by it keeps every draw within the table
    uniform = torch.rand(cumulative.shape[:-1], generator=generator).to(logits.device)[..., None] * cumulative[..., -1:]
    return torch.searchsorted(cumulative, uniform, right=True).squeeze(-1).clamp(max=logits.shape[-1] - 1)


def token_critic_loss(
    critic: Callable[..., Tensor],
    logits: Float[Tensor, "b t h w v"],
    ids: Int[Tensor, "b t h w"],
    text_features: Float[Tensor, "b l d"],
    text_mask: Bool[Tensor, "b l"],
    *,
    generator: torch.Generator,
    drop_text: Bool[Tensor, " b"] | None = None,
    sampled: Int[Tensor, "b t h w"] | None = None,
) -> TokenCriticLoss:
    """Binary cross-entropy of "this token is wrong", on tokens sampled at temperature 1 (Lezama et al. 2022).

    Every position is sampled and judged, masked or not (spec §2). The gradient stays in the critic.

    Args:
        critic: (ids, text_features, text_mask, drop_text) → logit per token "b t h w", high = wrong.
        logits: prediction of the MaskGIT network for a masked version of `ids`.
        ids: true codes.
        text_features: text, zero where `text_mask` is False.
        text_mask: True at real text tokens.
        generator: CPU generator of the sampled tokens.
        drop_text: samples whose text the critic does not see.
        sampled: what `sample_ids` gave for `logits`; None: it is drawn here.
    """
    sampled = sample_ids(logits, generator) if sampled is None else sampled
    wrong = sampled != ids
    scores = critic(sampled, text_features, text_mask, drop_text).float()
    loss = F.binary_cross_entropy_with_logits(scores, wrong.float())
    return TokenCriticLoss(loss, ((scores > 0) == wrong).float().mean(), wrong.float().mean())
