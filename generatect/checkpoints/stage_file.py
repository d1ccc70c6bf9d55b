"""Reads and writes the weights of one stage with the description that rebuilds it.

Two containers of ours hold the same content. `.safetensors` is for use: tensors, and the description as JSON in the
header. `.ckpt` is Lightning's, for resuming: `state_dict`, and the description under `generatect`. Where a `.ckpt`
holds averaged weights (EMA), those are what is used. The three published files are read as well: see `released_stage`.

Either is held against its own checksum, for a disk may change a bit: a weight that is another makes another volume,
and nothing else shows it. `.safetensors` has the SHA-256 of description and tensors in its header; `.ckpt` and `.pt`
are zip files, with a CRC for each tensor.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from generatect import __version__
from generatect.checkpoints.released import released_stage
from generatect.checkpoints.safe_load import damaged_part, load_tensors
from generatect.errors import InputError
from generatect.files import atomic_path, sha256_of_file

FORMAT = 1
STAGES = ("ctvit", "transformer", "superres")
"""What a model is made of."""
JUDGES = ("ctnet",)
"""What is trained to look at volumes, and is no part of a model."""
DESCRIPTION_KEY, CHECKSUM_KEY = "generatect", "content_sha256"
EMA_KEY = "generatect_ema"


@dataclass(frozen=True)
class StageFile:
    """Weights of one stage.

    Attributes:
        path: where they were read from.
        description: plain values: `stage`, `networks`, `preset`, `text`, `process`, `notice`, ….
        state: tensors by name; the first part of a name is the network ("ctvit.", "maskgit.", "text.", "unet.").
        sha256: of the file's bytes, as hex.
    """

    path: Path
    description: dict[str, Any]
    state: dict[str, Tensor]
    sha256: str

    def state_to_use(self) -> dict[str, Tensor]:
        """Tensors of the networks that the description names and of the text, without what only training needs."""
        kept = {"text", *self.description["networks"]}
        return {key: value for key, value in self.state.items() if key.split(".")[0] in kept}

    def state_of(self, network: str) -> dict[str, Tensor]:
        """Tensors of one network, without its prefix, in fp32 where they are floating."""
        prefix = f"{network}."
        return {
            key.removeprefix(prefix): value.float() if value.is_floating_point() else value
            for key, value in self.state.items()
            if key.startswith(prefix)
        }


def read_stage_file(path: str | Path, stage: str | None = None, setting: str = "weights") -> StageFile:
    """Reads a stage from `.safetensors`, `.ckpt` or a published `.pt`, never executing what the file says.

    Args:
        path: the file.
        stage: the stage it must be of; None accepts any.
        setting: the configuration key to name when it cannot be used.

    Raises:
        InputError: no such file, not one of ours, or of another stage.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{setting}={path}: no such file; name a checkpoint that a training wrote, or its folder")
    try:
        description, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_ckpt(path, stage)
    except (SafetensorError, RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"{setting}={path}: not a readable generatect checkpoint ({reason})") from error
    if description.get("format") != FORMAT or description.get("stage") not in (*STAGES, *JUDGES):
        raise InputError(
            f"{setting}={path}: format {description.get('format')!r}, expected {FORMAT}; update generatect"
        )
    if stage is not None and description["stage"] != stage:
        raise InputError(f"{setting}={path}: a checkpoint of stage '{description['stage']}', expected stage '{stage}'")
    return StageFile(path, description, state, sha256_of_file(path))


def write_stage_file(path: Path, description: dict[str, Any], state: dict[str, Tensor], half: bool = False) -> None:
    """Writes `.safetensors` atomically; `half` stores floating tensors as fp16 (half the size, for shipping).

    Raises:
        InputError: it cannot be written, as on a full disk.
    """
    if half:
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    tensors = _each_by_itself({key: value.detach().cpu().contiguous() for key, value in state.items()})
    description = {"format": FORMAT, "version": __version__, **description}
    header = _as_json({**description, CHECKSUM_KEY: _checksum(description, tensors)})
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={DESCRIPTION_KEY: header})  # of several it draws the order
    except (OSError, SafetensorError) as error:  # the latter is what the library makes of some of the former
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(
            f"output={path}: cannot be written ({reason}); nothing is left there, make room or choose another folder"
        ) from error


def _each_by_itself(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors that share memory with an earlier one, which the format cannot express."""
    seen: set[int] = set()
    result = {}
    for key, value in state.items():
        place = value.untyped_storage().data_ptr()
        result[key] = value.clone() if place in seen and value.numel() else value
        seen.add(place)
    return result


def _read_safetensors(path: Path) -> tuple[dict, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        description = _mapping(json.loads((file.metadata() or {}).get(DESCRIPTION_KEY, "null")))
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    expected = description.pop(CHECKSUM_KEY, None)
    if expected is not None and expected != _checksum(description, state):  # older files have none
        raise ValueError("damaged: it does not match the checksum in it")
    return description, state


def _read_ckpt(path: Path, stage: str | None) -> tuple[dict, dict[str, Tensor]]:
    content = load_tensors(path)
    if (damaged := damaged_part(path)) is not None:
        raise ValueError(f"damaged: {damaged} in it does not match its checksum")
    if DESCRIPTION_KEY not in content:
        description, state = released_stage(content, stage)
        return {"format": FORMAT, **description}, state
    state = {**_mapping(content.get("state_dict")), **_mapping(content.get(EMA_KEY, {}))}
    return _mapping(content.get(DESCRIPTION_KEY)), state


def _checksum(description: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the description and of every tensor: name, type, shape and bytes."""
    digest = hashlib.sha256(_as_json(description).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _as_json(description: dict[str, Any]) -> str:
    return json.dumps(description, sort_keys=True)


def _mapping(content: object) -> dict:
    if not isinstance(content, dict):
        raise ValueError("no description of a stage in it")
    return content
