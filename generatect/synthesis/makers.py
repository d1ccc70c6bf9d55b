"""What makes the volumes of a work list."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer

from generatect.ct.volume import CTVolume
from generatect.options import TokenOptions, UpscaleOptions
from generatect.progress import Progress
from generatect.sidecar import SYNTHETIC
from generatect.stage_models import LowresModel, StageModel, UpscaleModel
from generatect.synthesis.work import WorkItem


@dataclass(frozen=True, eq=False)
class Made:
    """A volume, not yet on disk.

    Attributes:
        volume: in HU.
        model: what its sidecar names.
        token_ids: of a low-resolution volume, what it was decoded from.
        claim: what the volume is.
        options: what its sidecar says beside the request.
    """

    volume: CTVolume
    model: StageModel
    token_ids: Integer[np.ndarray, "t h w"] | None = None
    claim: str = SYNTHETIC
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Maker(Protocol):
    """Makes volumes one by one; the same item and seed give the same volume, whatever was made before."""

    def request(self, item: WorkItem) -> Mapping[str, Any]:
        """What decides a volume beside prompt and seed, as its sidecar names it."""
        ...

    def make(self, item: WorkItem, seed: int, show: Progress) -> Made:
        """The volume of an item from one seed."""
        ...


@dataclass(frozen=True)
class FromPrompts:
    """Samples volumes of prompts.

    Attributes:
        model: with the third stage where slices are refined.
        tokens: how tokens are sampled.
        upscale: how slices are refined; None leaves volumes at low resolution.
        asked: the request of every item.
        lowres_prompt: what the low-resolution volume is sampled from, where slices were refined with another prompt.
        lowres_seed: likewise its seed.
    """

    model: LowresModel
    tokens: TokenOptions
    upscale: UpscaleOptions | None
    asked: Mapping[str, Any]
    lowres_prompt: str | None = None
    lowres_seed: int | None = None

    def request(self, item: WorkItem) -> Mapping[str, Any]:
        """The same for every item."""
        return self.asked

    def make(self, item: WorkItem, seed: int, show: Progress) -> Made:
        """From a prompt to HU and millimetres."""
        model, text = self.model, item.prompt.text
        lowres_seed = seed if self.lowres_seed is None else self.lowres_seed
        ids = model.sample_ids([self.lowres_prompt or text], lowres_seed, self.tokens, show)
        lowres = model.decode(ids, self.tokens)[0]
        if self.upscale is None:
            return Made(model.preset.to_volume(lowres), model, ids[0].cpu().numpy())
        assert isinstance(model, UpscaleModel)
        volume = model.upscale(lowres, text, seed, self.upscale, show)
        return Made(model.preset.to_volume(volume, upscaled=True), model)
