"""The CLIP score against torchmetrics' own, and what becomes of texts that are too long."""

import numpy as np
import pytest
import torch
import torchmetrics.functional.multimodal
from transformers import CLIPModel, CLIPTokenizer

from generatect.errors import InputError
from generatect.evaluation.clip_model import ClipModel, load_clip
from tests.evaluation.tiny_clip import write_clip

SHORT = "no nodule."
LONG = "large effusion on the right. " * 6
OTHER_LONG = "the heart is of normal size. " * 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> ClipModel:
    return load_clip(str(write_clip(tmp_path_factory.mktemp("clip") / "tiny")))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 20, 24)).astype(np.uint8))


def embedding(output: object) -> torch.Tensor:
    return getattr(output, "pooler_output", output)


def test_a_short_text_scores_as_in_torchmetrics(clip, images):
    """It cannot read the embeddings of newer transformers, so it gets ours; the rest is its own."""
    model, processor = clip.scorer._model, clip.scorer.processor
    expected = torchmetrics.functional.multimodal.clip_score(list(images), [SHORT] * 3, lambda: (model, processor))
    assert clip.score(images, SHORT, True) == pytest.approx(expected.item(), abs=1e-4)
    assert clip.score(images, SHORT, False) == pytest.approx(expected.item(), abs=1e-4)


def test_the_score_is_the_cosine_of_the_embeddings(clip, images):
    model, processor = clip.scorer._model.model, clip.scorer.processor
    pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
    tokens = processor.tokenizer(SHORT, return_tensors="pt")
    seen = embedding(model.get_image_features(pixels)).double()
    read = embedding(model.get_text_features(tokens["input_ids"], tokens["attention_mask"])).double()
    cosines = torch.nn.functional.cosine_similarity(seen, read)
    assert clip.score(images, SHORT, True) == pytest.approx(max(0, 100 * cosines.mean().item()), abs=1e-4)


def test_long_texts_are_known(clip):
    assert clip.scorer.max_tokens == 77
    assert clip.scorer.is_cut(LONG)
    assert not clip.scorer.is_cut(SHORT)


def test_with_the_end_mark_long_texts_are_read_and_without_it_they_are_all_one(clip, images):
    kept = [clip.score(images, text, True) for text in (LONG, OTHER_LONG)]
    assert kept[0] != pytest.approx(kept[1], abs=1e-3)
    as_published = [clip.score(images, text, False) for text in (LONG, OTHER_LONG)]
    assert as_published[0] == pytest.approx(as_published[1], abs=1e-5)
    with pytest.warns(UserWarning, match="longer than"):
        expected = torchmetrics.functional.multimodal.clip_score(
            list(images), [LONG] * 3, lambda: (clip.scorer._model, clip.scorer.processor)
        )
    assert as_published[0] == pytest.approx(expected.item(), abs=1e-4)


def test_no_model_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no CLIP model there") as refused:
        load_clip(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_the_hash_is_of_the_weights(clip, tmp_path):
    assert load_clip(str(write_clip(tmp_path / "same"))).record.sha256 == clip.record.sha256
    assert load_clip(str(write_clip(tmp_path / "other", seed=1))).record.sha256 != clip.record.sha256
    assert clip.record.width == 8


def test_the_tiny_model_is_of_the_real_format(tmp_path):
    folder = write_clip(tmp_path / "tiny")
    assert isinstance(CLIPModel.from_pretrained(folder), CLIPModel)
    assert CLIPTokenizer.from_pretrained(folder)("a b")["input_ids"][0] == 56
