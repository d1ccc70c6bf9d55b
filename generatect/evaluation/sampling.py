"""The volumes that the rows of the results table compare, made once and kept."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from generatect.ct.volume import CTVolume
from generatect.data.inputs import ModelInputs
from generatect.data.pairs import Pairs
from generatect.evaluation.volume_folder import VolumeFolder, key_of, numbered
from generatect.phantom.counterfactual import Counterfactual
from generatect.pipeline import TextToCT, TokenOptions, UpscaleOptions
from generatect.progress import Progress, duration
from generatect.sidecar import SYNTHETIC

REAL_NOTICE = "a real volume, on the model's grid"

REAL_LOWRES, REAL = "real-lowres", "real"
RECONSTRUCTED, GENERATED_LOWRES = "reconstructed", "generated-lowres"
UPSCALED, GENERATED = "upscaled", "generated"
MADE_BY = {
    REAL_LOWRES: (),
    REAL: (),
    RECONSTRUCTED: ("ctvit",),
    GENERATED_LOWRES: ("ctvit", "transformer"),
    UPSCALED: ("superres",),
    GENERATED: ("ctvit", "transformer", "superres"),
}
"""Folder of volumes → the stages that make them. `upscaled` are real low-resolution scans that superres has refined."""
KINDS, REAL_KINDS = tuple(MADE_BY), (REAL_LOWRES, REAL)


@dataclass
class Sampled:
    """Where the volumes of each kind lie, in the order of the prompts.

    Attributes:
        names: of the volumes.
        prompts: report of each volume.
        paths: kind → files.
    """

    names: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    paths: dict[str, list[Path]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


def sample(
    model: TextToCT,
    pairs: Pairs,
    indices: Sequence[int],
    folder: Path,
    *,
    num_generated: int,
    seed: int,
    tokens: TokenOptions,
    upscale: UpscaleOptions,
    show: Progress,
    say: Callable[[str], None],
) -> Sampled:
    """Makes every volume of the table that is not there yet.

    Prompt number i is the report of pair `indices[i]` and is sampled with seed + i, alone, as `generate` does, so that
    a volume depends on no other and an interrupted run goes on where it was.

    Args:
        model: all three stages.
        pairs: real volumes and their reports.
        indices: the real ones to compare with.
        folder: gets a folder of each kind.
        num_generated: from the reports of so many of them, the first, volumes are made.
        seed: of the first prompt.
        tokens: how tokens are sampled.
        upscale: how slices are refined.
        show: told of the progress.
        say: told what the rest will cost, once a volume has been timed.
    """
    folders = {kind: _folder(folder / kind, kind, model, getattr(pairs, "notice", None)) for kind in KINDS}
    sampled = Sampled([numbered(number, pairs.name(index)) for number, index in enumerate(indices)])
    for kind, kept in folders.items():
        kept.keep_only(sampled.names if kind in REAL_KINDS else sampled.names[:num_generated])
    estimated = False
    for number, index in enumerate(indices):
        kinds = KINDS if number < num_generated else REAL_KINDS
        name, text = sampled.names[number], pairs.text(index)
        one = _One(model, pairs, index, text, seed + number, tokens, upscale)
        sampled.prompts.append(text)
        started, num_made = time.monotonic(), 0
        for kind in kinds:
            key = one.key(kind)
            if not folders[kind].has(name, key):
                folders[kind].keep(name, key, text, partial(one.make, kind))
                num_made += 1
            sampled.paths[kind].append(folders[kind].path(name))
        rest = num_generated - number - 1
        if num_made == len(KINDS) and not estimated and rest > 0:
            estimated = True
            each = time.monotonic() - started
            say(
                f"{rest} more of {num_generated} volumes of each kind, {each:.1f} s each: about {duration(rest * each)}"
            )
        show("volumes of each kind", number + 1, len(indices))
    return sampled


class _One:
    """Everything made for one pair; what several kinds need is made once, and only if one of them does."""

    def __init__(
        self,
        model: TextToCT,
        pairs: Pairs,
        index: int,
        text: str,
        seed: int,
        tokens: TokenOptions,
        upscale: UpscaleOptions,
    ) -> None:
        self.model, self.pairs, self.index, self.text, self.seed = model, pairs, index, text, seed
        self.tokens, self.upscale = tokens, upscale
        self.inputs = ModelInputs(pairs, model.preset, None)
        self.real_lowres = cache(lambda: self.inputs.volume(index))
        self.generated_lowres = cache(lambda: model.sample_lowres([text], seed, tokens)[0])

    def key(self, kind: str) -> str:
        """What the volume of this kind depends on."""
        hashes, content = self.model.hashes, self.inputs.key(self.index)[0]
        grids = (self.model.preset.name, str(self.model.preset.grid), str(self.model.preset.upscaled_grid))
        drawn, refined = asdict(self.tokens), asdict(self.upscale)
        parts = {
            REAL_LOWRES: (content,),
            REAL: (content,),
            RECONSTRUCTED: (content, hashes["ctvit"]),
            GENERATED_LOWRES: (self.text, self.seed, hashes["ctvit"], hashes["transformer"], drawn),
            UPSCALED: (content, self.text, self.seed, hashes["superres"], refined),
            GENERATED: (self.text, self.seed, hashes, drawn, refined),
        }
        return key_of(kind, grids, *parts[kind])

    def make(self, kind: str) -> CTVolume:
        """The volume of this kind."""
        model, preset = self.model, self.model.preset
        if kind == REAL_LOWRES:
            return preset.to_volume(self.real_lowres())
        if kind == REAL:
            values = self.pairs.model_input(self.index, preset, upscaled=True)
            self.inputs.require_unchanged(self.index)
            return preset.to_volume(values, upscaled=True)
        if kind == RECONSTRUCTED:
            with torch.inference_mode():
                return preset.to_volume(model.tokenizer(self.real_lowres()[None].to(model.device)).reconstruction[0])
        if kind == GENERATED_LOWRES:
            return preset.to_volume(self.generated_lowres())
        source = self.real_lowres() if kind == UPSCALED else self.generated_lowres()
        return preset.to_volume(self._refined(source), upscaled=True)

    def _refined(self, lowres: Tensor) -> Tensor:
        return self.model.upscale(lowres, self.text, self.seed, self.upscale)


def sample_counterfactuals(
    model: TextToCT,
    pairs: Sequence[Counterfactual],
    folder: Path,
    *,
    seed: int,
    tokens: TokenOptions,
    show: Progress,
) -> list[tuple[Path, Path]]:
    """Low-resolution volumes with and without each finding, both of a pair from the same noise.

    Args:
        model: tokenizer and transformer.
        pairs: the prompts.
        folder: where the volumes are kept.
        seed: of the first pair.
        tokens: how tokens are sampled.
        show: told of the progress.

    Returns:
        For each pair the volume whose prompt names the finding, and the one whose prompt denies it.
    """
    kept = _folder(folder, GENERATED_LOWRES, model, None)
    kept.keep_only([numbered(number, which) for number in range(len(pairs)) for which in ("with", "without")])
    hashes = (model.hashes["ctvit"], model.hashes["transformer"])
    paths = []
    for number, pair in enumerate(pairs):

        def make(text: str, own_seed: int = seed + number) -> CTVolume:
            return model.preset.to_volume(model.sample_lowres([text], own_seed, tokens)[0])

        both = []
        for name, text in (("with", pair.with_finding), ("without", pair.without_finding)):
            key = key_of("counterfactual", text, seed + number, hashes, asdict(tokens))
            both.append(kept.keep(numbered(number, name), key, text, lambda text=text, make=make: make(text)))
        paths.append((both[0], both[1]))
        show("counterfactual pairs", number + 1, len(pairs))
    return paths


def _folder(folder: Path, kind: str, model: TextToCT, data_notice: str | None) -> VolumeFolder:
    stages = MADE_BY[kind]
    first, second = (SYNTHETIC, model.notice) if stages else (REAL_NOTICE, data_notice)
    notice = f"{first}. {second}" if second else first
    return VolumeFolder(folder, notice, {stage: model.hashes[stage] for stage in stages})
