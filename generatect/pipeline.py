"""The three stages as one: text → tokens → volume → full-resolution volume."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from torch import Tensor

from generatect.checkpoints.hub import push_folder, require_model_id
from generatect.checkpoints.model_folder import write_model_folder
from generatect.checkpoints.rebuild import (
    codebook_sha256,
    rebuild_network,
    rebuild_preset,
    rebuild_process,
    rebuild_text,
)
from generatect.checkpoints.stage_file import STAGES, read_stage_file
from generatect.checkpoints.weights import find_weights
from generatect.ct.preset import Preset
from generatect.diffusion.process import SuperResProcess
from generatect.errors import InputError
from generatect.files import writable_folder
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.position_bias import MAX_DENSE_BYTES
from generatect.networks.token_critic import TokenCritic
from generatect.networks.unet import SuperResUNet
from generatect.placement import compile_once, dtype_of, pick_device, placed
from generatect.progress import Progress
from generatect.sampling.maskgit import decode_tokens
from generatect.sampling.superres import upscale_volume
from generatect.text.conditioner import TextConditioner


def _silent(_label: str, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True)
class TokenOptions:
    """How tokens are sampled: see `decode_tokens`.

    Attributes:
        precision: fp32, bf16 or fp16.
        dense_bias: keep the position bias of every pair of tokens: faster, 1.3 GB at published size in fp32.
        offload: the networks are on the device only while they are needed.
    """

    steps: int = 18
    guidance: float = 3.0
    temperature: float = 0.9
    precision: str = "fp32"
    dense_bias: bool = True
    offload: bool = False


@dataclass(frozen=True)
class UpscaleOptions:
    """How slices are refined: see `upscale_volume`.

    Attributes:
        precision: fp32, bf16 or fp16.
        compile: fuse the network's operations first, which takes a minute or two and pays for whole volumes.
        offload: the networks are on the device only while they are needed.
    """

    steps: int = 8
    guidance: float = 1.0
    sampler: str = "ddim"
    slices_per_batch: int = 4
    correlated_noise: bool = True
    precision: str = "fp32"
    compile: bool = False
    offload: bool = False


@dataclass(frozen=True)
class TextToCT:
    """Networks of all three stages, ready to sample.

    Attributes:
        preset: the grids of the result.
        tokenizer: decodes tokens.
        maskgit: samples tokens, reading `tokens_text`.
        token_critic: chooses the tokens to sample again; None: the least certain ones are.
        unet: refines slices as `process` says, reading `slices_text`.
        paths: each stage's file, from which `save_pretrained` writes.
        hashes: SHA-256 of each stage's file.
        notice: what must be said of everything these weights make, or None.
        device: where it all runs.
    """

    preset: Preset
    tokenizer: CTViT
    maskgit: MaskGIT
    token_critic: TokenCritic | None
    tokens_text: TextConditioner
    unet: SuperResUNet
    slices_text: TextConditioner
    process: SuperResProcess
    paths: dict[str, Path]
    hashes: dict[str, str]
    notice: str | None
    device: torch.device

    @classmethod
    def load(
        cls,
        weights: str | Mapping[str, str],
        device: str = "auto",
        cache_dir: str | None = None,
        t5: str | None = None,
    ) -> "TextToCT":
        """Loads three stages that belong together.

        Args:
            weights: see `find_weights`.
            device: auto, cpu, cuda, ….
            cache_dir: folder of text features of frozen encoders and of converted files; None: no features are kept.
            t5: Hub id or folder of the T5 in place of the one that the weights name.

        Raises:
            InputError: a file is missing or of another stage, or the stages were not trained on one tokenizer.
        """
        files = {stage: find_weights(weights, stage, cache_dir) for stage in STAGES}
        for stage in ("transformer", "superres"):
            if files[stage].description["preset"] != files["ctvit"].description["preset"]:
                raise InputError(
                    f"{files[stage].path}: trained on another grid than {files['ctvit'].path}; use stages of one model"
                )
            if files[stage].description.get("codebook_sha256") not in (None, codebook_sha256(files["ctvit"])):
                raise InputError(
                    f"{files[stage].path}: trained on the tokens of another tokenizer than {files['ctvit'].path}; "
                    "use stages of one model"
                )
        where = pick_device(device)
        has_critic = "token_critic" in (files["transformer"].description.get("networks") or {})
        notices = [file.description.get("notice") for file in files.values()]
        return cls(
            preset=rebuild_preset(files["ctvit"]),
            tokenizer=rebuild_network(files["ctvit"], "ctvit").to(where),
            maskgit=rebuild_network(files["transformer"], "maskgit").to(where),
            token_critic=rebuild_network(files["transformer"], "token_critic").to(where) if has_critic else None,
            tokens_text=rebuild_text(files["transformer"], cache_dir, t5).to(where),
            unet=rebuild_network(files["superres"], "unet").to(where),
            slices_text=rebuild_text(files["superres"], cache_dir, t5).to(where),
            process=rebuild_process(files["superres"]),
            paths={stage: file.path.absolute() for stage, file in files.items()},
            hashes={stage: file.sha256 for stage, file in files.items()},
            notice=next((notice for notice in notices if notice), None),
            device=where,
        )

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, device: str = "auto", cache_dir: str | None = None, t5: str | None = None
    ) -> "TextToCT":
        """Loads a model on the Hub (ORG/NAME), a folder of `save_pretrained`, "released" or "phantom"; see `load`.

        Raises:
            InputError: as `load`.
        """
        return cls.load(str(name_or_folder), device, cache_dir, t5)

    def save_pretrained(self, folder: str | Path, half: bool = False) -> list[Path]:
        """Writes the three stages, `config.json` and a model card, and returns their paths.

        Args:
            folder: where to; made where there is none.
            half: store fp16, half the size.

        Raises:
            InputError: the folder cannot be written, or a file that this model was loaded from is no longer the same.
        """
        return self._write(writable_folder(folder, "folder"), half)

    def push_to_hub(self, repo_id: str, private: bool | None = None, half: bool = False) -> str:
        """Sends what `save_pretrained` writes to the Hub, and returns the model's address there.

        Args:
            repo_id: ORG/NAME; created where there is none yet.
            private: whom a new model can be seen by; None: as is usual for ORG.
            half: store fp16, half the size.

        Raises:
            InputError: the Hub does not take it, or a file that this model was loaded from is no longer the same.
        """
        require_model_id(repo_id, "repo_id")
        with TemporaryDirectory() as folder:
            self._write(Path(folder), half, repo_id)
            return push_folder(Path(folder), repo_id, private)

    def _write(self, folder: Path, half: bool, repo_id: str | None = None) -> list[Path]:
        files = {stage: read_stage_file(path, stage) for stage, path in self.paths.items()}
        for stage, file in files.items():
            if file.sha256 != self.hashes[stage]:
                raise InputError(f"{file.path}: is another file than this model was loaded from; load it again")
        return write_model_folder(list(files.values()), folder, half, repo_id)

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """Token grid (t, h, w) of one volume."""
        return self.tokenizer.token_grid(self.preset.grid.shape_zyx[0])

    @torch.inference_mode()
    def sample_lowres(
        self,
        prompts: list[str],
        seed: int,
        options: TokenOptions,
        progress: Progress = _silent,
        on_ids: Callable[[int, Tensor], None] | None = None,
    ) -> Float[Tensor, "b 1 z y x"]:
        """One low-resolution volume per prompt, in about [-1, 1].

        Args:
            prompts: reports.
            seed: of every draw.
            options: how tokens are sampled.
            progress: called at each step.
            on_ids: called at each step with its number and the ids "b t h w" so far, those still hidden being the
                network's `mask_id`; what it raises ends sampling.
        """

        def told(step: int, ids: Tensor) -> None:
            progress("tokens", step + 1, options.steps)
            if on_ids is not None:
                on_ids(step, ids)

        dtype = dtype_of(options.precision)
        self.maskgit.max_dense_bytes = MAX_DENSE_BYTES if options.dense_bias else 0
        used = (self.tokens_text, self.maskgit, self.tokenizer, self.token_critic)
        half = torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)
        with placed(used, self.device, options.offload):
            text = self.tokens_text(prompts)  # in fp32 always: features are cached
            with half:
                ids = decode_tokens(
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
                return self.tokenizer.decode_ids(ids).float()

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
            InputError: an option that means nothing, or a network that cannot be compiled here.
        """
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
