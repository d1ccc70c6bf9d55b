"""MaskGIT decoding: all tokens hidden at first, revealed over a few steps, the least certain ones hidden again.

Chang et al. 2022, with the schedule, temperature and token critic of spec §2. Noise is drawn on the CPU in fp32, so
that a seed means the same on every device.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from generatect.errors import InputError
from generatect.objectives.masking import num_masked
from generatect.sampling.guidance import prepare_guided

# Positions sampled at a time: logits and noise of all 6,464 tokens × 8,192 codes would be 212 MB each in fp32.
POSITIONS_PER_CHUNK = 1024


@torch.no_grad()
def decode_tokens(
    network: Callable[..., Tensor],
    *,
    token_grid: Sequence[int],
    mask_id: int,
    text_features: Float[Tensor, "b l d"],
    text_mask: Bool[Tensor, "b l"],
    generator: torch.Generator,
    num_steps: int = 18,
    guidance: float = 5.0,
    temperature: float = 0.9,
    prime_ids: Int[Tensor, "p t0 y x"] | None = None,
    critic: Callable[..., Tensor] | None = None,
    critic_noise_scale: float = 1.0,
    noise: Callable[[int], Tensor] | None = None,
    critic_noise: Callable[[int], Tensor] | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Int[Tensor, "b t h w"]:
    """Samples a grid of token ids from the text.

    Args:
        network: (ids, text_features, text_mask, drop_text) → logits "b t h w v"; the ids may contain `mask_id`. One
            that can prepare itself does so once, see `prepare_guided`; so does a critic.
        token_grid: (t, h, w) of the result, priming tokens included.
        mask_id: id that stands for a hidden token.
        text_features: text, zero where `text_mask` is False; one volume is sampled per row.
        text_mask: True at real text tokens.
        generator: CPU generator of all noise.
        num_steps: evaluations of the network.
        guidance: classifier-free guidance scale of the network and of the critic.
        temperature: of the first step; it falls linearly to 0 at the last one.
        prime_ids: "b t0 h w", tokens of given leading slices; never masked, returned as the first t0 of t.
        critic: (ids, text_features, text_mask, drop_text) → "b t h w", high = wrong; decides instead of the network's
            own confidence what is hidden again, also among tokens revealed long ago.
        critic_noise_scale: width of the uniform noise on the critic's first scores; it falls linearly to 0.
        noise: step → additive Gumbel noise "b n v" over the n tokens that are not primed, in place of the generator's.
        critic_noise: step → uniform numbers "b n" in [0, 1), in place of the generator's.
        on_step: called with the step and a copy of the network's input ids, after masking.

    Returns:
        Ids below `mask_id` everywhere.

    Raises:
        InputError: fewer than one step, or priming tokens that do not fit into the grid.
    """
    if num_steps < 1:
        raise InputError(f"num_steps={num_steps}: decoding needs at least 1 step")
    num_volumes, device = len(text_features), text_features.device
    ids = torch.full((num_volumes, *token_grid), mask_id, device=device)
    num_primed = 0
    if prime_ids is not None:
        num_primed = _prime(ids, prime_ids)
    new = ids.flatten(1)[:, num_primed:]  # a view: what is written here is written into ids

    text = (token_grid, text_features, text_mask, guidance)
    predict = prepare_guided(network, *text)
    judge = None if critic is None else prepare_guided(critic, *text)
    scores = torch.zeros(new.shape, device=device)
    for step in range(num_steps):
        remaining = (num_steps - 1 - step) / num_steps
        masked = _highest(scores, num_masked(step, num_steps, new.shape[1]))
        new.scatter_(1, masked, mask_id)
        if on_step is not None:
            on_step(step, ids.clone())

        features = predict.features(ids).flatten(1, 3)[:, num_primed:]
        recorded = None if noise is None else noise(step)
        sampled, confidence = _sample(features, predict.to_scores, masked, temperature * remaining, generator, recorded)
        del features  # before the critic's forward, not after
        new.scatter_(1, masked, sampled)

        if judge is None:
            scores = torch.full_like(scores, -1e4).scatter_(1, masked, 1 - confidence)
        elif remaining > 0:
            scores = judge.to_scores(judge.features(ids)).flatten(1)[:, num_primed:].float()
            uniform = torch.rand(new.shape, generator=generator) if critic_noise is None else critic_noise(step)
            scores = scores + critic_noise_scale * remaining * (uniform.to(device) - 0.5)
    return ids


def gumbel_noise(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Float[Tensor, "..."]:
    """-log(-log(u + 1e-10) + 1e-10), u uniform from a CPU generator, transformed in place on `device`."""
    uniform = torch.rand(tuple(shape), generator=generator).to(device)
    return uniform.add_(1e-10).log_().neg_().add_(1e-10).log_().neg_()


def _prime(ids: Int[Tensor, "b t h w"], prime_ids: Int[Tensor, "p t0 y x"]) -> int:
    """Writes the priming tokens into the front of `ids`; returns how many there are per volume."""
    (num_volumes, depth, *plane), prime_depth = ids.shape, prime_ids.shape[1]
    if prime_ids.shape != (num_volumes, prime_depth, *plane) or prime_depth >= depth:
        raise InputError(
            f"priming tokens have shape {tuple(prime_ids.shape)} (volumes, t, h, w); "
            f"expected {(num_volumes, f'fewer than {depth}', *plane)}"
        )
    ids[:, :prime_depth] = prime_ids
    return prime_ids[0].numel()


def _highest(scores: Float[Tensor, "b n"], num: int) -> Int[Tensor, "b m"]:
    """Positions of the `num` highest scores in ascending order; of equal scores, the first.

    Stable and ordered, so that which position gets which noise does not hang on how a device breaks ties.
    """
    return scores.argsort(dim=1, descending=True, stable=True)[:, :num].sort(dim=1).values


def _sample(
    features: Float[Tensor, "b n d"],
    to_logits: Callable[[Tensor], Tensor],
    masked: Int[Tensor, "b m"],
    temperature: float,
    generator: torch.Generator,
    noise: Float[Tensor, "b n v"] | None,
) -> tuple[Int[Tensor, "b m"], Float[Tensor, "b m"]]:
    """Gumbel-max sample at the masked positions, and the probability of each sample at temperature 1.

    Logits exist for one chunk of masked positions at a time, and for no other position.
    """
    rows = torch.arange(len(features), device=features.device)[:, None]
    sampled, confidence = [], []
    for positions in masked.split(POSITIONS_PER_CHUNK, dim=1):
        chunk = to_logits(features[rows, positions]).float()
        if noise is None:
            perturbed = gumbel_noise(chunk.shape, generator, chunk.device)
        else:
            perturbed = noise.to(chunk.device)[rows, positions]
        perturbed.add_(chunk / max(temperature, 1e-10))
        choice = perturbed.argmax(dim=-1)
        sampled.append(choice)
        confidence.append((chunk.gather(-1, choice[..., None]).squeeze(-1) - chunk.logsumexp(dim=-1)).exp())
    return torch.cat(sampled, dim=1), torch.cat(confidence, dim=1)
