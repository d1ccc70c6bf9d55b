"""The stages as models that sample: tokens and their low-resolution volume, and the refinement of slices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from generatect.ct.preset import Preset
from generatect.diffusion.process import SuperResProcess
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.position_bias import MAX_DENSE_BYTES
from generatect.networks.token_critic import TokenCritic
from generatect.networks.unet import SuperResUNet
from generatect.options import TokenOptions, UpscaleOptions
from generatect.placement import compile_once, dtype_of, pick_device, placed
from generatect.progress import Progress
from generatect.sampling.maskgit import decode_tokens
from generatect.sampling.superres import upscale_volume
from generatect.stage_parts import decoder_parts, read_stages, shared_parts, slice_parts, token_parts
from generatect.text.conditioner import TextConditioner
from generatect.text.prompt import require_texts
from generatect.text.reading import TextRead


def _silent(_label: str, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class StageModel:
    """What every model has, whichever stages it holds.

    Attributes:
        preset: the grids of the result.
        paths: each stage's file.
        hashes: SHA-256 of each stage's file.
        notice: what must be said of everything these weights make, or None.
        device: where it all runs.
    """

    preset: Preset
    paths: dict[str, Path]
    hashes: dict[str, str]
    notice: str | None
    device: torch.device

    def reads(self, prompts: Sequence[str]) -> dict[str, list[TextRead]]:
        """How much of each prompt is read, by the stages that read."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DecoderModel(StageModel):
    """The first stage, ready to decode: tokens → low-resolution volume.

    Attributes:
        tokenizer: decodes tokens.
    """

    tokenizer: CTViT

    @torch.inference_mode()
    def decode(self, ids: Int[Tensor, "b t h w"], options: TokenOptions) -> Float[Tensor, "b 1 z y x"]:
        """The low-resolution volumes of token ids, in about [-1, 1].

        Args:
            ids: the same ids and options give the same volumes, wherever the ids have been in between.
            options: of them, the precision and whether the network is on the device only while it is needed.
        """
        with placed((self.tokenizer,), self.device, options.offload), _autocast(self.device, options):
            return self.tokenizer.decode_ids(ids.to(self.device)).float()


@dataclass(frozen=True, kw_only=True)
class LowresModel(DecoderModel):
    """The first two stages, ready to sample: text → tokens → low-resolution volume.

    Attributes:
        maskgit: samples tokens, reading `tokens_text`.
        token_critic: chooses the tokens to sample again; None: the least certain ones are.
    """

    maskgit: MaskGIT
    token_critic: TokenCritic | None
    tokens_text: TextConditioner

    @classmethod
    def load(
        cls,
        weights: str | Mapping[str, str],
        device: str = "auto",
        cache_dir: str | None = None,
        t5: str | None = None,
    ) -> "LowresModel":
        """Loads tokenizer and transformer; arguments and errors as in `TextToCT.load`."""
        files, where = read_stages(weights, ("ctvit", "transformer"), cache_dir), pick_device(device)
        parts = decoder_parts(files, where) | token_parts(files, where, cache_dir, t5)
        return LowresModel(**shared_parts(files, where), **parts)

    def reads(self, prompts: Sequence[str]) -> dict[str, list[TextRead]]:
        """How much of each prompt is read, by the stages that read."""
        return {"transformer": self.tokens_text.reads(prompts), **super().reads(prompts)}

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """Token grid (t, h, w) of one volume."""
        return self.tokenizer.token_grid(self.preset.grid.shape_zyx[0])

    @torch.inference_mode()
    def sample_ids(
        self,
        prompts: Sequence[str],
        seed: int,
        options: TokenOptions,
        progress: Progress = _silent,
        on_ids: Callable[[int, Tensor], None] | None = None,
    ) -> Int[Tensor, "b t h w"]:
        """The token ids of one low-resolution volume per prompt.

        Args:
            prompts: reports.
            seed: of every draw.
            options: how tokens are sampled.
            progress: called at each step.
            on_ids: called at each step with its number and the ids so far, those still hidden being the network's
                `mask_id`; what it raises ends sampling.

        Raises:
            InputError: a single text in place of a list, or one that no file could hold.
        """
        require_texts(prompts, "prompts")

        def told(step: int, ids: Tensor) -> None:
            progress("tokens", step + 1, options.steps)
            if on_ids is not None:
                on_ids(step, ids)

        self.maskgit.max_dense_bytes = MAX_DENSE_BYTES if options.dense_bias else 0
        with placed((self.tokens_text, self.maskgit, self.token_critic), self.device, options.offload):
            text = self.tokens_text(prompts)  # in fp32 always: features are cached
            with _autocast(self.device, options):
                return decode_tokens(
                    self.maskgit,
                    token_grid=self.token_grid,
                    mask_id=self.maskgit.mask_id,
                    text_features=text.features,
                    text_mask=text.mask,
                    generator=torch.Generator().manual_seed(seed),
                    num_steps=options.steps,
                    guidance=options.guidance,
                    temperature=options.temperature,
                    critic=self.token_critic,
                    on_step=told,
                )

    def sample_lowres(
        self,
        prompts: Sequence[str],
        seed: int,
        options: TokenOptions,
        progress: Progress = _silent,
        on_ids: Callable[[int, Tensor], None] | None = None,
    ) -> Float[Tensor, "b 1 z y x"]:
        """One low-resolution volume per prompt, in about [-1, 1]: `sample_ids`, decoded."""
        return self.decode(self.sample_ids(prompts, seed, options, progress, on_ids), options)


@dataclass(frozen=True, kw_only=True)
class UpscaleModel(StageModel):
    """The third stage, ready to refine slices.

    Attributes:
        unet: refines slices as `process` says, reading `slices_text`.
    """

    unet: SuperResUNet
    slices_text: TextConditioner
    process: SuperResProcess

    @classmethod
    def load(
        cls,
        weights: str | Mapping[str, str],
        device: str = "auto",
        cache_dir: str | None = None,
        t5: str | None = None,
    ) -> "UpscaleModel":
        """Loads the super-resolution stage; arguments and errors as in `TextToCT.load`."""
        files, where = read_stages(weights, ("superres",), cache_dir), pick_device(device)
        return UpscaleModel(**shared_parts(files, where), **slice_parts(files, where, cache_dir, t5))

    def reads(self, prompts: Sequence[str]) -> dict[str, list[TextRead]]:
        """How much of each prompt is read, by the stages that read."""
        return {**super().reads(prompts), "superres": self.slices_text.reads(prompts, self.unet.text.max_tokens)}

    @torch.inference_mode()
    def upscale(
        self,
        lowres: Float[Tensor, "1 z h w"],
        prompt: str,
        seed: int,
        options: UpscaleOptions,
        progress: Progress = _silent,
    ) -> Float[Tensor, "1 z y x"]:
        """The volume on the upscaled grid, in [-1, 1].

        Raises:
            InputError: an option that means nothing, a prompt that is no text, or a network that cannot be compiled.
        """
        require_texts([prompt], "prompt")
        self.unet.to_precision(dtype_of(options.precision))
        if options.compile:
            compile_once(self.unet)
        with placed((self.slices_text, self.unet), self.device, options.offload):
            text = self.slices_text([prompt])
            return upscale_volume(
                self.unet,
                self.process,
                lowres.to(self.device),
                text.features,
                text.mask,
                generator=torch.Generator().manual_seed(seed),
                upscaled_size=self.preset.upscaled_grid.shape_zyx[1],
                num_steps=options.steps,
                guidance=options.guidance,
                sampler=options.sampler,
                slices_per_batch=options.slices_per_batch,
                correlated_noise=options.correlated_noise,
                fixed_shapes=options.compile,
                on_slices=lambda done, total: progress("slices", done, total),
            )


@dataclass(frozen=True, kw_only=True)
class TokensToCT(DecoderModel, UpscaleModel):
    """The first and the third stage: tokens → low-resolution volume → full-resolution volume."""

    @classmethod
    def load(
        cls,
        weights: str | Mapping[str, str],
        device: str = "auto",
        cache_dir: str | None = None,
        t5: str | None = None,
    ) -> "TokensToCT":
        """Loads tokenizer and super-resolution; arguments and errors as in `TextToCT.load`."""
        files, where = read_stages(weights, ("ctvit", "superres"), cache_dir), pick_device(device)
        parts = decoder_parts(files, where) | slice_parts(files, where, cache_dir, t5)
        return TokensToCT(**shared_parts(files, where), **parts)


def _autocast(device: torch.device, options: TokenOptions) -> torch.autocast:
    dtype = dtype_of(options.precision)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
