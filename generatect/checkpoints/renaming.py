"""Tables of key names: the original's ↔ ours, and what the original stores without using it."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

Table = list[tuple[str, str]]
"""(original, ours) beginnings of keys; `#` is a number; of the rows that match a key, the first counts."""

_IDLE = re.compile(r"\.beta$|(\.layers\.\d+\.1|(^|\.)attn_blocks\.\d+)\.(context_norm\.|null_kv$)|_codebook\.initted$")


def within(original: str, ours: str, table: Table) -> Table:
    """The table of a module at its place in a larger one."""
    return [(f"{original}.{old}", f"{ours}.{new}") for old, new in table]


def renamed(state: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """The original's tensors under our names, without the idle ones.

    Raises:
        KeyError: a key that the table does not have.
    """
    return {_rename(key, table): value for key, value in state.items() if not is_idle(key)}


def restored(state: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """Our tensors under the original's names, the idle ones made anew as it would initialise them.

    Raises:
        KeyError: a key that the table does not have.
    """
    inverse = [(ours, original) for original, ours in table]
    original = {_rename(key, inverse): value for key, value in state.items()}
    norms = [key.removesuffix("norm.gamma") for key in original if key.endswith(".norm.gamma")]
    for attention in (norm for norm in norms if is_idle(f"{norm}null_kv")):
        gamma, dim_head = original[f"{attention}norm.gamma"], len(original[f"{attention}q_scale"])
        heads = len(original[f"{attention}to_q.weight"]) // dim_head
        original[f"{attention}context_norm.gamma"] = torch.ones_like(gamma)
        original[f"{attention}null_kv"] = gamma.new_empty(heads, 0, dim_head)
    gammas = {key: value for key, value in original.items() if key.endswith(".gamma")}
    return original | {f"{key.removesuffix('gamma')}beta": torch.zeros_like(value) for key, value in gammas.items()}


def is_idle(key: str) -> bool:
    """Whether the original stores this tensor without effect.

    Zero offsets of norms, the context norm and the empty null pairs of self-attention, the flag of the codebook.
    """
    return bool(_IDLE.search(key))


def _rename(key: str, table: Table) -> str:
    for old, new in table:
        pattern = re.escape(old).replace(r"\#", r"(\d+)")
        result, found = re.subn(f"^{pattern}", new.replace("#", r"\1"), key)
        if found:
            return result
    raise KeyError(key)
