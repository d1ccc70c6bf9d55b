"""How a volume that its sidecar describes is made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generatect.config.check import check_arguments
from generatect.ct.volume import CTVolume
from generatect.data.fingerprint import fingerprint
from generatect.data.prompts import Prompt
from generatect.data.scans import find_volumes
from generatect.errors import InputError
from generatect.options import TokenOptions, UpscaleOptions
from generatect.pipeline import TextToCT
from generatect.progress import Progress
from generatect.stage_models import LowresModel, StageModel, UpscaleModel
from generatect.synthesis.lowres_sources import Source
from generatect.synthesis.makers import FromPrompts
from generatect.synthesis.refine import FromLowres
from generatect.synthesis.work import WorkItem


@dataclass(frozen=True)
class Remake:
    """A volume to be made again.

    Attributes:
        sidecar: what says how it came to be.
        scan: what was refined; None: it was made of text.
    """

    sidecar: Mapping[str, Any]
    scan: Path | None

    @property
    def kind(self) -> type[LowresModel] | type[UpscaleModel]:
        """The model that it takes."""
        if self.scan is not None:
            return UpscaleModel
        return LowresModel if self.sidecar["upscale"] is None else TextToCT

    def volume(self, model: StageModel, show: Progress) -> CTVolume:
        """The volume, in HU."""
        said = self.sidecar
        item = WorkItem(Prompt("again", said["prompt"]), 0, said["seed"])
        upscale = None if said["upscale"] is None else UpscaleOptions(**said["upscale"])
        if self.scan is not None:
            assert isinstance(model, UpscaleModel)
            assert upscale is not None
            sources = {"again": Source(item, self.scan, None, None)}
            return FromLowres(model, sources, upscale, said["lowres"]["hu_policy"]).make(item, item.seed, show).volume
        assert isinstance(model, LowresModel)
        before = said.get("lowres", {})
        maker = FromPrompts(
            model, TokenOptions(**said["tokens"]), upscale, {}, before.get("prompt"), before.get("seed")
        )
        return maker.make(item, item.seed, show).volume


def how_made(sidecar: Mapping[str, Any], path: Path, scans: str | None) -> Remake:
    """How the volume of a sidecar is made again.

    Args:
        sidecar: its content.
        path: its file, for messages.
        scans: the scan that was refined, or a folder with it.

    Raises:
        InputError: settings that there are not, or no scan of the content that the sidecar names.
    """
    if sidecar["upscale"] is not None:
        check_arguments(UpscaleOptions, sidecar["upscale"], f"{path}: upscale")
    if sidecar["tokens"] is not None:
        check_arguments(TokenOptions, sidecar["tokens"], f"{path}: tokens")
        return Remake(sidecar, None)
    lowres = sidecar.get("lowres")
    if not isinstance(lowres, Mapping) or not {"content_sha256", "hu_policy"} <= lowres.keys():
        raise InputError(f"file={path}: says neither how tokens were sampled nor what was refined; make it again")
    if scans is None:
        raise InputError(f"file={path}: was refined from a volume on disk; name it with input=")
    for scan, _ in find_volumes(Path(scans).expanduser()):
        if fingerprint(scan, lowres["hu_policy"]) == lowres["content_sha256"]:
            return Remake(sidecar, scan)
    raise InputError(f"input={scans}: no volume of the content that {path.name} was refined from; name that one")
