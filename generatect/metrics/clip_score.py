"""CLIP score (Hessel et al. 2021) of slices against the text that they were made from, with torchmetrics.

100 · cos of the image's and the text's embedding, cut at 0. CLIP reads 77 tokens; a radiology report has more, and what
comes after is not read. How many texts were cut must be said with the number.

torchmetrics cuts the end mark off with the rest. CLIP takes a text's embedding from the place of that mark and, where
there is none, from the first token, which has seen nothing: every long report then scores as the same empty text. Here
the mark is kept unless the published protocol is asked for.
"""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchmetrics.functional.multimodal import clip_score


class ClipScore:
    """Scores slices against texts.

    Args:
        model: a CLIP model: `get_image_features(pixel_values)` and `get_text_features(input_ids, attention_mask)`.
        processor: what makes its inputs, with its `tokenizer`.

    Attributes:
        max_tokens: what the model reads of a text, the marks at both ends included.
    """

    def __init__(self, model: nn.Module, processor: Any) -> None:
        self._model, self.processor = _Embeddings(model), processor
        self.max_tokens: int = int(model.config.text_config.max_position_embeddings)  # type: ignore[union-attr]

    def is_cut(self, text: str) -> bool:
        """Whether the model reads only the beginning of the text."""
        return len(self._ids(text)) > self.max_tokens

    @torch.inference_mode()
    def __call__(self, images: UInt8[Tensor, "n 3 h w"], text: str, keeps_end: bool = True) -> Float[Tensor, ""]:
        """Mean score of the images against one text, 0..100.

        Args:
            images: slices, grey repeated to RGB, on the device where the model shall run.
            text: the prompt or report.
            keeps_end: cut a long text so that its end mark stays; False: as torchmetrics cuts it.
        """
        ids = self._ids(text)
        if len(ids) > self.max_tokens:
            ids = ids[: self.max_tokens - 1] + ids[-1:] if keeps_end else ids[: self.max_tokens]
        tokens = _Tokenized(self.processor, ids)
        value = clip_score(list(images), [text] * len(images), lambda: (self._model, tokens))  # type: ignore[arg-type]
        assert isinstance(value, Tensor)
        return value

    def _ids(self, text: str) -> list[int]:
        """Token ids of the whole text, the marks at both ends included."""
        return self.processor.tokenizer(text, verbose=False)["input_ids"]


class _Embeddings(nn.Module):
    """The model as torchmetrics calls it: newer transformers wrap each embedding in an object that it cannot read."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.config = model.config

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        """One embedding for each image."""
        return _embedding(self.model.get_image_features(pixel_values))  # type: ignore[operator]

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """One embedding for each text."""
        return _embedding(self.model.get_text_features(input_ids, attention_mask))  # type: ignore[operator]


class _Tokenized:
    """A processor for one text whose tokens are known."""

    def __init__(self, processor: Any, ids: list[int]) -> None:
        self.processor, self.ids = processor, ids

    def __call__(self, images: list[Tensor] | None = None, text: list[str] | None = None, **options: Any) -> Any:
        """Inputs of images or of texts."""
        if text is None:
            return self.processor(images=images, **options)
        ids = torch.tensor([self.ids] * len(text))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _embedding(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output.pooler_output
