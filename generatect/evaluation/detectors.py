"""Networks that turn slices or clips into features: files that the user names and trusts, or networks of ours.

TorchScript executes code, so a file is opened only if its SHA-256 stands in the settings: giving it is the consent, and
a file that has changed is another file. What is on the Hub is fetched once, under the same condition.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from generatect.checkpoints.hub import fetch_file
from generatect.errors import InputError
from generatect.evaluation.random_network import RandomNetwork
from generatect.evaluation.result import DetectorRecord
from generatect.hub_access import HUB

IMAGES, CLIPS = "images", "clips"
RANDOM = "random"
SETTING = {IMAGES: "fid", CLIPS: "fvd"}
"""The setting that names the detector of each kind."""

CALL = {
    # As StyleGAN-V calls NVIDIA's Inception and the I3D of "FVD": what they do to their input is said to them.
    IMAGES: {"return_features": True},
    CLIPS: {"rescale": True, "resize": True, "return_features": True},
}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, eq=False)
class Detector:
    """A frozen network: uint8 batch → features.

    Attributes:
        kind: "images" (reads "b 3 y x") or "clips" (reads "b 3 t y x").
        record: name, hash and width, kept with every number.
        network: the features of a batch.
        device: where it runs.
    """

    kind: str
    record: DetectorRecord
    network: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.inference_mode()
    def __call__(self, batch: UInt8[Tensor, "b 3 *shape"]) -> Float[Tensor, "b d"]:
        """Features of a batch, float32 on the CPU.

        Raises:
            InputError: the network does not take the batch, or gives other features than it should.
        """
        where = f"{SETTING[self.kind]}.detector={self.record.name}"
        features = _call(self.network, batch.to(self.device), where)
        if tuple(features.shape) != (len(batch), self.record.width):
            raise InputError(
                f"{where}: gives features of shape {tuple(features.shape)} for {len(batch)} {self.kind}; "
                f"expected {(len(batch), self.record.width)}; name another detector or {SETTING[self.kind]}.width=…"
            )
        features = features.float().cpu()
        if not torch.isfinite(features).all():
            raise InputError(f"{where}: gives NaN or infinite features; name another detector")
        return features


def load_detector(
    setting: str | nn.Module,
    kind: str,
    sha256: str | None = None,
    width: int | None = None,
    device: torch.device | str = "cpu",
) -> Detector:
    """The detector that a setting names.

    Args:
        setting: "random" (seeded and untrained, see `RandomNetwork`); a TorchScript file; "hf://ORG/NAME/FILE" on the
            Hub; or a network of ours, a module that maps a uint8 batch to features.
        kind: "images" or "clips".
        sha256: hash of the TorchScript file, which is the consent to execute it.
        width: length of a feature vector that the file must give; None: whatever it gives.
        device: where it shall run.

    Raises:
        InputError: no such file, no or another hash, not TorchScript, or features of another shape.
    """
    if setting == RANDOM:
        setting = RandomNetwork(kind)
    if isinstance(setting, nn.Module):
        return _of_module(setting, kind, torch.device(device))
    key = SETTING[kind]
    path = _file(setting, key, sha256)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is None or sha256.lower() != found:
        reason = "TorchScript executes code, so its hash is needed" if sha256 is None else f"expected {sha256}"
        raise InputError(
            f"{key}.detector={setting}: its SHA-256 is {found}; {reason}: if you trust it, add {key}.sha256={found}"
        )
    module = _open(content, device, f"{key}.detector={setting}")

    def network(batch: Tensor) -> Tensor:
        return module(batch, **CALL[kind])

    measured = _measure(network, kind, torch.device(device), f"{key}.detector={setting}")
    if width is not None and measured != width:
        raise InputError(
            f"{key}.detector={setting}: gives {measured} features, expected {width}; name another file, or say "
            f"{key}.width={measured}"
        )
    return Detector(kind, DetectorRecord(path.name, found, measured), network, torch.device(device))


def module_sha256(module: nn.Module) -> str:
    """Hash of a network's class and of every number in it."""
    digest = hashlib.sha256(f"{type(module).__module__}.{type(module).__qualname__}".encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _of_module(module: nn.Module, kind: str, device: torch.device) -> Detector:
    module = module.eval().requires_grad_(False).to(device)
    if isinstance(module, RandomNetwork):
        if module.kind != kind:
            raise InputError(f"{SETTING[kind]}.detector: a random network of {module.kind}, expected one of {kind}")
        name = f"random, untrained ({kind}, seed {module.seed})"
    else:
        name = type(module).__qualname__
    width = _measure(module, kind, device, f"{SETTING[kind]}.detector={name}")
    return Detector(kind, DetectorRecord(name, module_sha256(module), width), module, device)


def _file(setting: str, key: str, sha256: str | None) -> Path:
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise InputError(f"{key}.sha256={sha256}: expected 64 hexadecimal digits, as sha256sum prints")
    if setting.startswith(HUB):
        parts = setting.removeprefix(HUB).split("/", 2)
        if len(parts) < 3 or not all(parts):
            raise InputError(f"{key}.detector={setting}: expected {HUB}ORG/NAME/FILE")
        if sha256 is None:
            raise InputError(
                f"{key}.detector={setting}: TorchScript executes code; it is fetched once {key}.sha256=… says which "
                "file you trust (the Hub shows the hash on the file's page)"
            )
        return fetch_file("/".join(parts[:2]), parts[2], f"{key}.detector")
    path = Path(setting).expanduser()
    if not path.is_file():
        raise InputError(
            f"{key}.detector={setting}: no such file; name a TorchScript file, {HUB}ORG/NAME/FILE or {RANDOM}"
        )
    return path


def _open(content: bytes, device: torch.device | str, where: str) -> torch.jit.ScriptModule:
    """Opens the bytes that were hashed: the file may have been exchanged since."""
    with warnings.catch_warnings():
        # Newer torch advises against TorchScript; the detectors that published numbers rest on exist in no other form.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return torch.jit.load(io.BytesIO(content), map_location=device).eval()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{where}: not TorchScript; expected what torch.jit.save wrote") from error


def _measure(network: Callable[[Tensor], Tensor], kind: str, device: torch.device, where: str) -> int:
    """Width of a network's features, from one empty item."""
    shape = (1, 3, 64, 64) if kind == IMAGES else (1, 3, 16, 64, 64)
    with torch.inference_mode():
        features = _call(network, torch.zeros(shape, dtype=torch.uint8, device=device), where)
    if features.dim() != 2 or len(features) != 1:
        raise InputError(f"{where}: gives {tuple(features.shape)} for one of {kind}; expected one vector of features")
    return features.shape[1]


def _call(network: Callable[[Tensor], Tensor], batch: Tensor, where: str) -> Tensor:
    try:
        features = network(batch)
    except (RuntimeError, TypeError, torch.jit.Error) as error:  # what TorchScript reports is any of them
        reason = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "no reason given")
        raise InputError(f"{where}: does not take {tuple(batch.shape)} uint8 ({reason[:160]})") from error
    if not isinstance(features, Tensor):
        raise InputError(f"{where}: gives {type(features).__name__}, expected a tensor of features")
    return features
