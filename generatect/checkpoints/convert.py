"""The published files ↔ ours, on disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from generatect.checkpoints.released import EMA_EXTRAS, recognised, released_stage
from generatect.checkpoints.released_layout import PUBLISHED, Sizes, check_layout, layout_of
from generatect.checkpoints.safe_load import load_tensors
from generatect.checkpoints.stage_file import FORMAT, StageFile, write_stage_file
from generatect.checkpoints.to_original import original_content
from generatect.errors import InputError
from generatect.files import atomic_path, require_space, sha256_of_file
from generatect.networks.vgg import load_vgg16

HEADER_BYTES = 2_000_000


def convert_file(source: Path, output: Path, sizes: Sizes = PUBLISHED) -> str:
    """Writes one of the three published files as ours; every tensor is kept, in its own precision.

    The source's name and SHA-256 go into the description.

    Args:
        source: the published file, recognised by its keys.
        output: a `.safetensors`, written atomically.
        sizes: of the networks in it.

    Returns:
        The stage it holds.

    Raises:
        InputError: no such file, none of the three, one that is damaged or asks for code, tensors missing, left over or
            of another shape (with a list), or no room on the disk.
    """
    if not source.is_file():
        raise InputError(f"source={source}: no such file; expected one of the released *_pretrained.pt")
    if output.suffix != ".safetensors":
        raise InputError(f"output={output}: expected a name that ends in .safetensors")
    try:
        stage, content = recognised(load_tensors(source))
        _check(stage, content, sizes)
        description, state = released_stage(content)
    except (ValueError, InputError) as error:
        raise InputError(f"source={source}: {error}") from error
    require_space(output, sum(value.nbytes for value in state.values()) + HEADER_BYTES)
    description |= {"format": FORMAT, "source": {"name": source.name, "sha256": sha256_of_file(source)}}
    write_stage_file(output, description, state)
    return stage


def write_original(file: StageFile, output: Path, tokenizer: StageFile | None = None, vgg: Path | None = None) -> None:
    """Writes a stage of ours as the original's file, see `original_content`.

    Args:
        file: the stage.
        output: the file, written atomically.
        tokenizer: stage "ctvit" for a transformer that was trained here.
        vgg: VGG16 weights for a tokenizer that was trained here, see `load_vgg16`.

    Raises:
        InputError: the original could not load it, or no room on the disk.
    """
    content = original_content(file, tokenizer, None if vgg is None else load_vgg16(vgg).state_dict())
    require_space(output, sum(value.nbytes for value in _tensors(content)) + HEADER_BYTES)
    try:
        with atomic_path(output) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        raise InputError(f"output={output}: cannot be written ({str(error).splitlines()[0]})") from error


def _check(stage: str, content: dict[str, Any], sizes: Sizes) -> None:
    """Every key and shape, of the upscaler also those of its averaged copy."""
    layout, name = layout_of(stage, sizes), f"this {stage}_pretrained.pt"
    if stage != "superres":
        check_layout(content, layout, name)
        return
    check_layout(content["model"], layout, f"part 'model' of {name}")
    average = content.get("ema")
    if average:
        copies = {key.replace("unets.1.", "1.ema_model."): shape for key, shape in layout.items() if "unets.1." in key}
        found = {key: value for key, value in average.items() if not key.startswith(EMA_EXTRAS)}
        check_layout(found, copies, f"part 'ema' of {name}")


def _tensors(content: dict[str, Any]) -> Iterator[torch.Tensor]:
    for value in content.values():
        if isinstance(value, dict):
            yield from _tensors(value)
        elif isinstance(value, torch.Tensor):
            yield value
