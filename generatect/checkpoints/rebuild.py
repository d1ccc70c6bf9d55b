"""From a stage file back to frozen networks.

A file is data: it names which of our networks it holds and their constructor arguments, which are checked like a
user's configuration. Nothing else that it says is ever called.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from generatect.checkpoints.codebook import hash_codebook
from generatect.checkpoints.stage_file import StageFile
from generatect.config.check import check_arguments
from generatect.config.targets import refuse_targets
from generatect.ct.preset import PhysicalPreset, Preset, ReleasedPreset
from generatect.diffusion.process import SuperResProcess
from generatect.errors import InputError
from generatect.networks.ctnet import CTNet
from generatect.networks.ctvit import CTViT
from generatect.networks.maskgit import MaskGIT
from generatect.networks.token_critic import TokenCritic
from generatect.networks.unet import SuperResUNet
from generatect.text.conditioner import TextConditioner, build_conditioner

_NETWORKS: dict[str, type[nn.Module]] = {
    "ctvit": CTViT,
    "maskgit": MaskGIT,
    "token_critic": TokenCritic,
    "unet": SuperResUNet,
    "ctnet": CTNet,
}
_PRESETS: dict[str, type] = {"physical": PhysicalPreset, "released": ReleasedPreset}
Built = TypeVar("Built")


def rebuild_network(file: StageFile, name: str) -> nn.Module:
    """The network `name` of a stage file with its weights, in eval mode, without gradients."""
    network = _build(_NETWORKS[name], _described(file, "networks", name), f"{file.path}: networks.{name}")
    return _load_frozen(network, file, name)


def rebuild_preset(file: StageFile) -> Preset:
    """The preset that the stage was trained with: its grid, and how a volume comes onto it."""
    arguments = dict(_described(file, "preset"))
    name = arguments.pop("name", None)
    if name not in _PRESETS:
        raise InputError(f"{file.path}: preset {name!r}, expected one of {', '.join(_PRESETS)}; update generatect")
    return _build(_PRESETS[name], arguments, f"{file.path}: preset")


def codebook_sha256(file: StageFile) -> str:
    """What a tokenizer's tokens mean: see `hash_codebook`.

    Raises:
        InputError: it has no codebook.
    """
    codebook = file.state.get("ctvit.quantizer.codebook")
    if codebook is None:
        raise InputError(f"{file.path}: holds no codebook of a tokenizer; export it again from its training")
    return hash_codebook(codebook)


def rebuild_process(file: StageFile) -> SuperResProcess:
    """What the super-resolution stage diffuses."""
    return _build(SuperResProcess, _described(file, "process"), f"{file.path}: process")


def rebuild_text(file: StageFile, cache_dir: str | None = None, t5: str | None = None) -> TextConditioner:
    """The text conditioner of a stage with its trained parts.

    Args:
        file: the stage.
        cache_dir: folder of text features of frozen encoders; None: they are not kept.
        t5: Hub id or folder of the frozen T5 in place of the one that the stage names.
    """
    description, encoder = dict(_described(file, "text")), _described(file, "text", "encoder")
    if t5 is not None and encoder.get("kind") == "t5":
        description["encoder"] = {**description["encoder"], "name_or_path": t5}
    return _load_frozen(build_conditioner(description, cache_dir=cache_dir), file, "text")


def _described(file: StageFile, *keys: str) -> Mapping[str, Any]:
    """A part of the description.

    Raises:
        InputError: it is not there, or the description wants something called.
    """
    refuse_targets(file.description, str(file.path))
    node: Any = file.description
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        raise InputError(f"{file.path}: its description lacks {'.'.join(keys)}; export it again from its training")
    return node


def _build(function: Callable[..., Built], arguments: Mapping[str, Any], where: str) -> Built:
    check_arguments(function, arguments, where)
    return function(**arguments)


def load_weights(network: nn.Module, file: StageFile, name: str) -> None:
    """Gives `network` the tensors of part `name`, all of them and no others.

    Raises:
        InputError: a tensor is missing, left over or of another shape.
    """
    try:
        result = network.load_state_dict(file.state_of(name), strict=False)
    except RuntimeError as error:  # the first line only says that there are errors
        reason = " ".join(str(error).splitlines()[-1].split())
        raise InputError(f"{file.path}: its tensors of '{name}' do not fit its description ({reason})") from error
    wrong = [*result.missing_keys, *result.unexpected_keys]
    if wrong:
        raise InputError(f"{file.path}: {len(wrong)} tensors of '{name}' do not fit, the first is {wrong[0]}")


def _load_frozen(network: nn.Module, file: StageFile, name: str) -> Any:
    load_weights(network, file, name)
    return network.eval().requires_grad_(False)
