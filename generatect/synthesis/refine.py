"""Refines the slices of low-resolution volumes that lie on disk."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from generatect.config.check import check_arguments
from generatect.ct.scan import read_scan
from generatect.ct.volume import CTVolume
from generatect.data.fingerprint import fingerprint
from generatect.errors import InputError
from generatect.options import TokenOptions, UpscaleOptions
from generatect.progress import Progress
from generatect.sidecar import READ, SYNTHETIC, read_token_ids
from generatect.stage_models import TokensToCT, UpscaleModel
from generatect.synthesis.lowres_sources import Source
from generatect.synthesis.makers import Made
from generatect.synthesis.work import WorkItem

REFINED = "SYNTHETIC: a given CT, brought down to low resolution, with slices that a model refined"


@dataclass(frozen=True)
class FromLowres:
    """Refines volumes that lie on disk: the same slices as where the low-resolution volume was made just before.

    Attributes:
        model: with the tokenizer where volumes are decoded from tokens.
        sources: name → volume.
        upscale: how slices are refined.
        hu_policy: how stored values of scans become HU; see `generatect.ct.hounsfield`.
        dicom: each volume becomes a DICOM series, too.
        classifier_sha256: of the gate's classifier, if it asks one.
    """

    model: UpscaleModel
    sources: Mapping[str, Source]
    upscale: UpscaleOptions
    hu_policy: str
    dicom: bool = False
    classifier_sha256: str | None = None

    def request(self, item: WorkItem) -> Mapping[str, Any]:
        """As `generate` asks for it, where the volume is decoded from tokens; otherwise with the volume's hash."""
        source = self.sources[item.prompt.name]
        request = {
            "tokens": source.sidecar["tokens"] if source.tokens else None,
            "upscale": asdict(self.upscale),
            "weights_sha256": self._hashes(source),
        }
        request |= {"dicom": True} if self.dicom else {}
        request |= {"classifier_sha256": self.classifier_sha256} if self.classifier_sha256 else {}
        return request | self._lowres(source, item.seed)

    def make(self, item: WorkItem, seed: int, show: Progress) -> Made:
        """The refined volume, where the low-resolution one lies."""
        source, preset = self.sources[item.prompt.name], self.model.preset
        lowres, scan = self._lowres_volume(source)
        array = self.model.upscale(lowres, item.prompt.text, seed, self.upscale, show)
        volume = preset.to_volume(array, upscaled=True)
        if scan is not None:
            volume = CTVolume(volume.voxels_hu, preset.seen_affine(scan, upscaled=True))
        claim = REFINED if source.sidecar is None else SYNTHETIC
        model = replace(self.model, hashes=self._hashes(source), notice=_notice(source) or self.model.notice)
        before = {READ: source.sidecar.get(READ, {})} if source.tokens else {}
        return Made(volume, model, claim=claim, options=self._lowres(source, seed) | before)

    def _lowres_volume(self, source: Source) -> tuple[Float[Tensor, "1 z y x"], CTVolume | None]:
        """What the third stage is given, and the scan that it was made of, if it was not decoded from tokens."""
        if source.tokens is None:
            scan = read_scan(source.path, hu_policy=self._policy(source)).volume
            return self.model.preset.to_model(scan), scan
        assert source.sidecar is not None
        assert isinstance(self.model, TokensToCT)
        ids = read_token_ids(source.tokens, source.sidecar["token_ids_sha256"])
        expected = self.model.tokenizer.token_grid(self.model.preset.grid.shape_zyx[0])
        if ids is None or ids.shape != expected or ids.max() >= len(self.model.tokenizer.quantizer.codebook):
            raise InputError(f"{source.tokens}: is no grid of {expected} tokens of these weights; make it again")
        options = replace(TokenOptions(**source.sidecar["tokens"]), offload=self.upscale.offload)
        return self.model.decode(torch.from_numpy(ids.astype("int64"))[None], options)[0], None

    def _policy(self, source: Source) -> str:
        """What we have written are HU, whatever they look like."""
        return self.hu_policy if source.sidecar is None else "already_hu"

    def _hashes(self, source: Source) -> dict[str, str]:
        """Of the stages that made the whole volume."""
        before = source.sidecar["weights_sha256"] if source.tokens else {}
        return {**before, "superres": self.model.hashes["superres"]}

    def _lowres(self, source: Source, seed: int) -> dict[str, Any]:
        """What must be known of the low-resolution volume beside the refined one's prompt and seed."""
        if source.tokens is None:
            policy = self._policy(source)
            return {"lowres": {"content_sha256": fingerprint(source.path, policy), "hu_policy": policy}}
        before = {key: source.sidecar[key] for key in ("prompt", "seed")}
        return {} if before == {"prompt": source.item.prompt.text, "seed": seed} else {"lowres": before}


def require_fitting(sources: list[Source], model: UpscaleModel) -> None:
    """Refuses tokens of another tokenizer or grid, and sidecars with settings that there are not.

    Raises:
        InputError: naming the volume.
    """
    grid = model.preset.name, list(model.preset.grid.shape_zyx)
    for source in sources:
        if source.tokens is None:
            continue
        sidecar = source.sidecar or {}
        check_arguments(TokenOptions, sidecar["tokens"], f"{source.path}: tokens of its .json")
        if (sidecar.get("preset"), sidecar.get("shape_zyx")) != grid:
            raise InputError(
                f"{source.path}: made on another grid than these weights have; name the weights that made it"
            )
        theirs = sidecar["weights_sha256"].get("ctvit")
        if theirs != model.hashes["ctvit"]:
            raise InputError(
                f"{source.path}: its stage ctvit is {str(theirs)[:12]}…, that of weights= is "
                f"{model.hashes['ctvit'][:12]}…; name the weights that made it"
            )


def _notice(source: Source) -> str | None:
    """What a generated volume's weights said of everything they make."""
    said = str((source.sidecar or {}).get("notice", ""))
    return said.removeprefix(f"{SYNTHETIC}. ") if said.startswith(f"{SYNTHETIC}. ") else None
