"""Text to what a network is conditioned on: an encoder, perhaps an adapter, perhaps a cache."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from generatect.config.check import check_arguments, did_you_mean
from generatect.errors import InputError
from generatect.text.adapter import ConvTextAdapter
from generatect.text.cache import FeatureCache
from generatect.text.features import TextEncoder, TextFeatures, pad_features
from generatect.text.hashed_words import HashedWordEncoder
from generatect.text.prompt import clean_prompt, require_texts
from generatect.text.reading import TextRead, read_up_to
from generatect.text.t5 import T5TextEncoder

_ENCODERS: dict[str, Any] = {"t5": T5TextEncoder, "hashed_words": HashedWordEncoder}


class TextConditioner(nn.Module):
    """Encoder, then adapter. Parameters and state are those of the trainable parts alone.

    Args:
        encoder: frozen (kept out of parameters and state, its features cached) or trainable.
        adapter: trained with the model; None for the released weights.
        cache_dir: folder for the features of a frozen encoder; None encodes every time.
        clean: prepare texts as the released models' were, see `clean_prompt`.

    Raises:
        InputError: an adapter of another width, or a cache that cannot be written.
    """

    _anchor: Tensor

    def __init__(
        self,
        encoder: TextEncoder,
        adapter: ConvTextAdapter | None = None,
        cache_dir: str | None = None,
        clean: bool = False,
    ) -> None:
        super().__init__()
        if adapter is not None and adapter.width_in != encoder.width:
            raise InputError(
                f"text_encoder.adapter.width_in={adapter.width_in}, but the encoder gives {encoder.width}; "
                "make them equal"
            )
        if not encoder.is_frozen:
            self.encoder = encoder
        self._encoder = (encoder,)  # a tuple hides a module from parameters(), state_dict() and to()
        self.adapter = adapter
        self.clean = clean
        self.cache = FeatureCache(cache_dir, cast(Any, encoder).identity) if cache_dir and encoder.is_frozen else None
        self.register_buffer("_anchor", torch.empty(0), persistent=False)  # knows the device where no parameter does

    @property
    def width(self) -> int:
        """Width of the features given to the network."""
        return self._encoder[0].width if self.adapter is None else self.adapter.width

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens; the rest is cut off."""
        return self._encoder[0].max_tokens

    def reads(self, texts: Sequence[str], max_tokens: int | None = None) -> list[TextRead]:
        """How much of each text is read.

        Args:
            texts: as in `forward`.
            max_tokens: where what follows stops, if it does before the encoder.
        """
        require_texts(texts, "texts")
        limit = self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)
        cleaned = [clean_prompt(text) for text in texts] if self.clean else texts
        return read_up_to(limit, self._encoder[0].count_tokens(cleaned))

    def describe(self) -> dict[str, Any]:
        """Plain values from which `build_conditioner` builds the same module, trained weights apart."""
        return {
            "encoder": dict(self._encoder[0].describe()),
            "adapter": None if self.adapter is None else self.adapter.describe(),
            "clean_prompt": self.clean,
        }

    def forward(self, texts: Sequence[str], generators: Sequence[torch.Generator] | None = None) -> TextFeatures:
        """Features "b l width" and mask "b l" on the module's device; padded positions are exactly 0.

        Args:
            texts: of the batch.
            generators: one for each text, of what a trained encoder draws in training; None: torch's own.

        Raises:
            InputError: a single text, or one that no file could hold; see `require_texts`.
        """
        require_texts(texts, "texts")
        texts = [clean_prompt(text) for text in texts] if self.clean else texts
        if self._encoder[0].is_frozen:
            text = self._encode_frozen(texts)
        else:
            text = cast(Any, self._encoder[0])(texts, *(() if generators is None else (generators,)))
        return text if self.adapter is None else self.adapter(text)

    def _encode_frozen(self, texts: Sequence[str]) -> TextFeatures:
        encoder, device = cast(Any, self._encoder[0]), self._anchor.device
        known: dict[str, Tensor] = {}
        missing: list[str] = []
        for text in dict.fromkeys(texts):
            features = None if self.cache is None else self.cache.get(text)
            if features is None:
                missing.append(text)
            else:
                known[text] = features.to(device)
        if missing:
            for text, features, mask in zip(missing, *encoder.to(device)(missing), strict=True):
                known[text] = features[mask]
                if self.cache is not None:
                    self.cache.put(text, known[text])
        return pad_features([known[text] for text in texts])


def build_conditioner(description: Mapping[str, Any], cache_dir: str | None = None) -> TextConditioner:
    """The conditioner that `describe` described, its trainable parts untrained.

    Args:
        description: {"encoder": {"kind": ..., constructor arguments}, "adapter": {constructor arguments} or None,
            "clean_prompt": whether texts are prepared as the released models' were; False where it is not said}.
        cache_dir: as in `TextConditioner`.

    Raises:
        InputError: an unknown kind or argument, or an encoder that cannot be built.
    """
    check_conditioner(description)
    arguments = dict(description["encoder"])
    encoder = _ENCODERS[arguments.pop("kind")](**arguments)
    adapter = description.get("adapter")
    if adapter is not None:
        adapter = ConvTextAdapter(
            **{"width_in": encoder.width, **adapter}
        )  # follows from the encoder unless it is said
    return TextConditioner(encoder, adapter, cache_dir, clean=bool(description.get("clean_prompt", False)))


def check_conditioner(description: Mapping[str, Any]) -> None:
    """Checks what `build_conditioner` will build, without building it.

    Raises:
        InputError: an unknown kind or argument, or a value that cannot be.
    """
    arguments = dict(description["encoder"])
    kind = arguments.pop("kind", None)
    if kind not in _ENCODERS:
        raise InputError(f"text_encoder.encoder.kind: {kind!r} is unknown, {did_you_mean(str(kind), list(_ENCODERS))}")
    check_arguments(_ENCODERS[kind], arguments, "text_encoder.encoder")
    if description.get("adapter") is not None:
        check_arguments(ConvTextAdapter, description["adapter"], "text_encoder.adapter")
