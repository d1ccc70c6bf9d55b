"""A model as one folder, as the Hub wants it: a file per stage, `config.json` and a model card."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from generatect import __version__
from generatect.checkpoints.model_card import model_card
from generatect.checkpoints.stage_file import FORMAT, StageFile, write_stage_file
from generatect.files import atomic_path, sha256_of_file


def write_model_folder(
    files: Sequence[StageFile], folder: Path, half: bool = False, repo_id: str | None = None
) -> list[Path]:
    """Writes weights and descriptions alone, without the state of training; returns what it wrote.

    Args:
        files: one of each stage.
        folder: where to.
        half: store fp16, half the size; computing stays in fp32.
        repo_id: the name that the model will have on the Hub.
    """
    stages = {file.description["stage"]: _write_stage(file, folder, half) for file in files}
    notices = [file.description.get("notice") for file in files]
    config = {
        "library_name": "generatect",
        "format": FORMAT,
        "versions": {"generatect": __version__, "torch": torch.__version__},
        "notice": "; ".join(dict.fromkeys(notice for notice in notices if notice)) or None,
        "stages": stages,
    }
    texts = {
        "config.json": json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        "README.md": model_card(config, repo_id or folder.resolve().name),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [folder / name for name in (*(stage["file"] for stage in stages.values()), *texts)]


def _write_stage(file: StageFile, folder: Path, half: bool) -> dict[str, Any]:
    state = file.state_to_use()
    dtypes = {str(value.dtype).removeprefix("torch.") for value in state.values() if value.is_floating_point()}
    path = folder / f"{file.description['stage']}.safetensors"
    write_stage_file(path, file.description, state, half=half)
    return {
        "file": path.name,
        "sha256": sha256_of_file(path),
        "bytes": path.stat().st_size,
        "values": sum(value.numel() for value in state.values()),
        "dtype": "float16" if half else ", ".join(sorted(dtypes)),
        "description": file.description,
    }
