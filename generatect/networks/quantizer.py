"""Vector quantiser with a cosine codebook that follows its tokens by moving averages (spec §1)."""

from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from generatect.errors import InputError

_NEVER = 2**62  # steps; no code stays unused as long
_MAX_SIMILARITIES = 2**22  # held at once in the search for the nearest code, 16 MB


class QuantizerOutput(NamedTuple):
    """Quantised tokens.

    Attributes:
        quantized: code rows, with the gradient of the tokens (straight-through).
        ids: the nearest codes, in 0..num_codes - 1.
        commitment_loss: mean squared distance of the tokens from their codes; gradient to the tokens alone, weight 1.
        perplexity: exp(entropy) of the codes' frequencies in this batch, 1..num_codes; in training over all processes.
    """

    quantized: Float[Tensor, "b n d"]
    ids: Int[Tensor, "b n"]
    commitment_loss: Float[Tensor, ""]
    perplexity: Float[Tensor, ""]


class CosineQuantizer(nn.Module):
    """Replaces each token by the code of highest cosine similarity.

    In training mode every forward pass also moves the codebook: each used code's row goes by `1 - decay` towards the
    direction of its tokens. A code left unused for `revive_after` steps restarts at a token of the batch, drawn where
    the codebook serves worst (by 1 - cosine similarity, as k-means++ seeds): without this most of a codebook never
    comes into use. The released training had no revival. In eval mode nothing changes. Processes that train together
    count together: each keeps the codebook that one process would have with all their tokens. With `learns_at_once`
    unset, forward passes only take note of their tokens, and `learn` moves the codebook by one step for all of them:
    so a batch in several parts is worth the same as whole, and a step that is not taken leaves no trace (`forget`).

    Args:
        num_codes: size of the codebook.
        width: width of the tokens.
        code_width: width of a code. None: codes are as wide as tokens, as released. Otherwise linear maps lead to and
            from the codes, and the tokens between them are L2-normalised (ViT-VQGAN, arXiv:2110.04627, §3.2).
        decay: of the moving averages, per step.
        revive_after: steps for which a code may stay unused; None: for ever, as released.
        init_from_data: replace the whole codebook after the first training step by tokens of its batch.
    """

    codebook: Tensor
    cluster_size: Tensor
    idle_steps: Tensor

    def __init__(
        self,
        *,
        num_codes: int,
        width: int,
        code_width: int | None = None,
        decay: float = 0.8,
        revive_after: int | None = None,
        init_from_data: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise InputError(f"decay is {decay}; expected 0 <= decay < 1")
        if revive_after is not None and revive_after < 1:
            raise InputError(f"revive_after is {revive_after}; expected at least 1 step, or null for no revival")
        self.num_codes = num_codes
        self.decay = decay
        self.revive_after = _NEVER if revive_after is None else revive_after
        self.to_code = None if code_width is None else nn.Linear(width, code_width)
        self.from_code = None if code_width is None else nn.Linear(code_width, width)
        self.learns_at_once = True
        self._noted: list[tuple[Tensor, Tensor, Tensor]] = []  # directions "b n c", similarities and ids "b n"
        self.register_buffer("codebook", F.normalize(torch.randn(num_codes, code_width or width), dim=-1))
        self.register_buffer("cluster_size", torch.zeros(num_codes))
        self.register_buffer("idle_steps", torch.full((num_codes,), _NEVER if init_from_data else 0))

    def forward(self, tokens: Float[Tensor, "b n d"]) -> QuantizerOutput:
        """Quantise tokens and, in training mode, update the codebook once."""
        if self.to_code is not None:
            tokens = F.normalize(self.to_code(tokens), dim=-1)
        directions = F.normalize(tokens.detach().float(), dim=-1)
        similarity, flat_ids = self._nearest(directions.flatten(0, 1))
        ids = flat_ids.view(tokens.shape[:2])
        rows = self.codebook[ids]
        counts = similarity.new_zeros(self.num_codes).index_add_(0, flat_ids, torch.ones_like(similarity))
        if self.training:
            counts = _summed(counts)
            self._noted.append((directions, similarity.view(ids.shape), ids))
            if self.learns_at_once:
                self.learn()
        quantized = tokens + (rows - tokens).detach()
        return QuantizerOutput(
            quantized=quantized if self.from_code is None else self.from_code(quantized),
            ids=ids,
            commitment_loss=F.mse_loss(tokens.float(), rows),
            perplexity=torch.special.entr(counts / counts.sum()).sum().exp(),
        )

    def codes(self, ids: Int[Tensor, "..."]) -> Float[Tensor, "... d"]:
        """What the decoder sees for these ids."""
        rows = self.codebook[ids]
        return rows if self.from_code is None else self.from_code(rows)

    @torch.no_grad()
    def learn(self) -> None:
        """Move the codebook by one step, for the tokens of all forward passes since the last."""
        directions, similarity, ids = (torch.cat(parts) for parts in zip(*self._noted, strict=True))
        num_batches = len(self._noted)
        self.forget()
        flat, tokens = ids.flatten(), directions.flatten(0, 1)
        counts = similarity.new_zeros(self.num_codes).index_add_(0, flat, torch.ones_like(similarity.flatten()))
        sums = torch.zeros_like(self.codebook).index_add_(0, flat, tokens)
        counts, sums = _summed(counts), _summed(sums)
        self.update(counts, sums, self._seeds(tokens, 1 - similarity, counts, num_batches))

    def forget(self) -> None:
        """Leave the tokens out that `learn` has not yet seen."""
        self._noted = []

    @torch.no_grad()
    def update(self, counts: Float[Tensor, "k"], sums: Float[Tensor, "k c"], seeds: Float[Tensor, "k c"]) -> None:
        """Move the codebook by one step.

        Args:
            counts: tokens of each code. Several processes add theirs up first.
            sums: sum of each code's L2-normalised tokens, likewise; overwritten, as a copy is as large as the codebook.
            seeds: unit vectors at which dead codes restart; the same in every process.
        """
        used = counts > 0
        # An unused code moves towards its own direction, as in the release.
        targets = torch.where(used[:, None], sums, self.codebook, out=sums)
        F.normalize(targets, dim=-1, out=targets)
        self.cluster_size.lerp_(counts, 1 - self.decay)
        self.codebook.lerp_(targets, 1 - self.decay)
        dead = self._dead(counts)
        torch.where(dead[:, None], seeds, self.codebook, out=self.codebook)
        self.idle_steps.copy_(torch.where(used | dead, 0, self.idle_steps + 1))

    def _dead(self, counts: Tensor) -> Tensor:
        """Codes to restart: unused for too long, or never set (`init_from_data`)."""
        too_long = (counts == 0) & (self.idle_steps + 1 >= self.revive_after)
        return too_long | (self.idle_steps == _NEVER)

    def _seeds(self, tokens: Tensor, distortion: Tensor, counts: Tensor, num_batches: int) -> Tensor:
        """One token per code; those of dead codes are spread evenly over the step's cumulative distortion.

        Such systematic sampling needs no random state, so that a resumed run repeats, and no wait for the device. The
        tokens of all processes lie in the order that they have in one: of each batch the first process's first sample,
        the second process's first, and so on.
        """
        everyone = rearrange(_of_all(distortion), "r (k b) n -> k b r n", k=num_batches)
        num_processes, num_tokens = everyone.shape[2:]
        dead = self._dead(counts)
        mass = everyone.flatten().clamp(min=0).cumsum(0)
        quantiles = (dead.cumsum(0) - 0.5) / dead.sum().clamp(min=1)
        picks = torch.searchsorted(mass, quantiles.clamp(min=0) * mass[-1]).clamp(max=mass.numel() - 1)
        sample, token = picks // num_tokens, picks % num_tokens
        owner, own_sample = sample % num_processes, sample // num_processes
        rows = tokens[own_sample * num_tokens + token]
        return _summed(torch.where((owner == _rank())[:, None], rows, 0)) if num_processes > 1 else rows

    @torch.no_grad()
    def _nearest(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Highest cosine similarity and its code for each token, in chunks.

        Never in half precision, as near ties are common; a GPU still uses TF32 where the process allows it.
        """
        with torch.autocast(directions.device.type, enabled=False):
            codes = F.normalize(self.codebook.float(), dim=-1).T
            chunks = directions.split(max(1, _MAX_SIMILARITIES // self.num_codes))
            found = [(chunk @ codes).max(dim=-1) for chunk in chunks]
        return torch.cat([similarity for similarity, _ in found]), torch.cat([ids for _, ids in found])


def _summed(values: Tensor) -> Tensor:
    """Sum over the processes that train together."""
    if _are_several():
        dist.all_reduce(values)
    return values


def _of_all(values: Tensor) -> Tensor:
    """What each process has, along a new first axis."""
    if not _are_several():
        return values[None]
    gathered = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, values.contiguous())
    return torch.stack(gathered)


def _rank() -> int:
    return dist.get_rank() if _are_several() else 0


def _are_several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
