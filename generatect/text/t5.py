"""Frozen T5 encoder: the text features of the released models (spec §0)."""

import copy
import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generatect.errors import InputError
from generatect.files import sha256_of_file
from generatect.hub_access import model_id, not_asked, silence
from generatect.text.features import TextFeatures
from generatect.text.prompt import require_texts
from generatect.text.reading import MOST_TOKENS


class T5TextEncoder:
    """Last hidden state of a T5 encoder; weights are read at the first use.

    Deliberately no `nn.Module`: whoever owns it gets no parameters, no state and no device move from it, and a copy of
    the owner (an EMA model) shares it. Reading late means that a run whose texts are all cached never holds T5.

    Args:
        name_or_path: Hub id, or a folder written by `save_pretrained`, with its tokenizer.
        max_tokens: longer texts are cut off here.

    Raises:
        InputError: no such model on this machine, nor on the Hub as far as it can be reached.
    """

    is_frozen = True

    def __init__(self, *, name_or_path: str = "google/t5-v1_1-base", max_tokens: int = MOST_TOKENS) -> None:
        if max_tokens < 1:
            raise InputError(f"text_encoder.encoder.max_tokens={max_tokens}: expected at least 1")
        self.name_or_path, self._silence = os.path.expanduser(name_or_path), None
        if not Path(self.name_or_path).is_dir():
            repo_id = model_id(name_or_path)
            if repo_id is None:
                raise InputError(
                    f"text_encoder.encoder.name_or_path={name_or_path}: no such folder; name google/t5-v1_1-base, or, "
                    f"without a network, a folder with a T5 that was downloaded elsewhere{not_asked(name_or_path)}"
                )
            self.name_or_path, self._silence = repo_id, silence()
        self.max_tokens = max_tokens
        self._device = torch.device("cpu")
        # transformers takes seconds to import, and most of this package never needs it
        from transformers import AutoConfig, AutoTokenizer

        self._config = self._read(AutoConfig)
        if getattr(self._config, "model_type", None) != "t5":
            raise InputError(
                f"text_encoder.encoder.name_or_path={name_or_path}: is a {self._config.model_type!r} model, "
                "expected 't5'; name a T5 such as google/t5-v1_1-base"
            )
        self._tokenizer = self._read(AutoTokenizer)

    @property
    def width(self) -> int:
        """Width of a feature; 768 for the base size."""
        return self._config.d_model

    @cached_property
    def identity(self) -> str:
        """Hash of the model's content and of `max_tokens`: equal identities give equal features.

        A folder is hashed file by file, a Hub model is known by its commit.
        """
        from transformers.utils.hub import cached_file

        folder = Path(self.name_or_path)
        if folder.is_dir():
            files = sorted(path for path in folder.iterdir() if path.is_file())
            content = [f"{path.name} {sha256_of_file(path)}" for path in files]
        else:
            config_file = cached_file(self.name_or_path, "config.json", local_files_only=self._silence is not None)
            content = [self.name_or_path, Path(str(config_file)).parent.name]
        return hashlib.sha256("\n".join(["t5", str(self.max_tokens), *content]).encode()).hexdigest()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, its end mark too, and those beyond `max_tokens`."""
        return count_t5_tokens(self._counting_tokenizer, texts)

    def describe(self) -> dict[str, Any]:
        """Plain description from which `build_conditioner` rebuilds the encoder."""
        return {"kind": "t5", "name_or_path": self.name_or_path, "max_tokens": self.max_tokens}

    def to(self, device: torch.device | str) -> "T5TextEncoder":
        """Chooses the device of the next call."""
        self._device = torch.device(device)
        return self

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> TextFeatures:
        """Features "b l width" in fp32, padded to the longest text; padded positions are exactly 0."""
        require_texts(texts, "texts")
        tokens = self._tokenizer(
            list(texts), truncation=True, max_length=self.max_tokens, padding="longest", return_tensors="pt"
        ).to(self._device)
        mask = tokens["attention_mask"].bool()
        # features must not hang on the precision of the run that happens to fill the cache
        with torch.autocast(self._device.type, enabled=False):
            hidden: Tensor = self._model.to(self._device)(input_ids=tokens["input_ids"], attention_mask=mask)[0]
        return TextFeatures(hidden * mask[..., None], mask)

    @cached_property
    def _counting_tokenizer(self) -> Any:
        """Another one: a tokenizer keeps in itself where it cuts, and the page counts while its worker encodes."""
        return copy.deepcopy(self._tokenizer)

    @cached_property
    def _model(self) -> torch.nn.Module:
        from transformers import T5EncoderModel

        return self._read(T5EncoderModel, dtype=torch.float32).eval().requires_grad_(False)

    def _read(self, kind: Any, **options: Any) -> Any:
        try:
            return kind.from_pretrained(self.name_or_path, local_files_only=self._silence is not None, **options)
        except (OSError, ValueError, ImportError) as error:
            what = "folder" if Path(self.name_or_path).is_dir() else "Hub id or folder"
            reason = str(error) or type(error).__name__
            if self._silence is not None:
                reason = f"not in the Hub's cache, and the Hub is not reached: {self._silence}"
            raise InputError(
                f"text_encoder.encoder.name_or_path={self.name_or_path}: no T5 encoder could be read from this {what} "
                f"({reason.splitlines()[0]}); without a network, download "
                "it elsewhere, copy its folder here and give that as text_encoder.encoder.name_or_path (generate: t5)"
            ) from error

    def __deepcopy__(self, memo: dict[int, Any]) -> "T5TextEncoder":
        return self


def count_t5_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens that T5's tokenizer makes of each text, the end mark too."""
    return [len(ids) for ids in tokenizer(list(texts), verbose=False).input_ids] if texts else []
