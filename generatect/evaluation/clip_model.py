"""CLIP by its name on the Hub or from a folder: weights and tokenizer, no code."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from generatect.errors import InputError
from generatect.evaluation.detectors import module_sha256
from generatect.evaluation.result import DetectorRecord
from generatect.hub_access import model_id, not_asked, silence
from generatect.metrics.clip_score import ClipScore


@dataclass(frozen=True, eq=False)
class ClipModel:
    """A CLIP model ready to score.

    Attributes:
        record: name, hash of the weights, width of an embedding.
        scorer: scores slices against texts.
        device: where it runs.
    """

    record: DetectorRecord
    scorer: ClipScore
    device: torch.device

    def score(self, images: UInt8[Tensor, "n 3 h w"], text: str, keeps_end: bool) -> float:
        """Mean score of the images against one text, 0..100."""
        return self.scorer(images.to(self.device), text, keeps_end).item()


def load_clip(name_or_path: str, device: torch.device | str = "cpu") -> ClipModel:
    """A CLIP model in the format of transformers, such as openai/clip-vit-base-patch16.

    Args:
        name_or_path: folder, or ORG/NAME on the Hub, fetched at its first use. Only safetensors are read, and no code
            that a model may bring is executed.
        device: where it shall run.

    Raises:
        InputError: there is no such model, or another kind of model.
    """
    key, source, silent = f"clip_score.model={name_or_path}", os.path.expanduser(name_or_path), None
    if not Path(source).is_dir():
        repo_id = model_id(name_or_path)
        if repo_id is None:
            raise InputError(f"{key}: no such folder; name one, or ORG/NAME on the Hub{not_asked(name_or_path)}")
        source, silent = repo_id, silence()
    from transformers import CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.clip.processing_clip import CLIPProcessor
    from transformers.utils import logging

    has_bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a bar for half a second of reading
    where = {"pretrained_model_name_or_path": source, "local_files_only": silent is not None}
    try:
        model = CLIPModel.from_pretrained(**where, use_safetensors=True)
        tokenizer = CLIPTokenizer.from_pretrained(**where)
        # By name: the default one needs torchvision.
        images = CLIPImageProcessorPil.from_pretrained(**where)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:160] if silent is None else f"the Hub is not reached: {silent}"
        raise InputError(
            f"{key}: no CLIP model there ({reason}); name a folder or ORG/NAME on the Hub "
            "with config.json, model.safetensors, tokenizer and preprocessor_config.json"
        ) from error
    finally:
        if has_bar:
            logging.enable_progress_bar()
    model = model.eval().requires_grad_(False).to(device)
    record = DetectorRecord(str(name_or_path), module_sha256(model), model.config.projection_dim)
    return ClipModel(record, ClipScore(model, CLIPProcessor(images, tokenizer)), torch.device(device))
