"""Hashed words, the adapter, and what they are for: binding a denial to its finding."""

import pytest
import torch
from torch import nn

from generatect.errors import InputError
from generatect.text.adapter import ConvTextAdapter
from generatect.text.features import TextFeatures
from generatect.text.hashed_words import HashedWordEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return HashedWordEncoder(width=8, num_buckets=997, max_tokens=12)


@pytest.fixture
def adapter():
    torch.manual_seed(1)
    adapter = ConvTextAdapter(width_in=8, width=16)
    for parameter in adapter.parameters():  # biases and offsets too, so that padding has something to leak
        nn.init.normal_(parameter, std=0.3)
    return adapter


def test_rows_are_the_same_on_every_machine(encoder):
    import zlib

    assert encoder.rows("No nodule.") == [zlib.crc32(word) % 997 + 1 for word in (b"no", b"nodule", b".")]


def test_words_are_lower_case_and_punctuation_counts(encoder):
    assert encoder.rows("Ground-glass, LEFT") == encoder.rows("ground glass , left")
    assert encoder.rows("left. right") != encoder.rows("left right")


def test_padding_is_zero_and_masked(encoder):
    features, mask = encoder(["no nodule", "", "cardiomegaly"])
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    assert (features[~mask] == 0).all()
    assert (features[mask] != 0).all()


def test_no_words_at_all_still_give_a_position(encoder):
    features, mask = encoder(["", "?"])
    assert features.shape == (2, 1, 8)
    assert not mask.any()


def test_long_texts_are_cut(encoder):
    assert encoder(["word " * 50]).mask.sum() == 12


def test_unseen_words_are_small_and_padding_never_learns(encoder):
    assert encoder.embedding.weight[1:].std().item() == pytest.approx(0.02, rel=0.1)
    features, _ = encoder(["no nodule", "no"])
    features.square().sum().backward()
    touched = encoder.embedding.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert touched == sorted(encoder.rows("no nodule"))


def test_wrong_sizes_are_refused():
    with pytest.raises(InputError, match="num_buckets=0"):
        HashedWordEncoder(width=8, num_buckets=0)
    with pytest.raises(InputError, match="kernel=4"):
        ConvTextAdapter(width_in=8, width=8, kernel=4)


def test_adapted_padding_is_zero(encoder, adapter):
    features, mask = adapter(encoder(["no nodule", "", "left pleural effusion , no nodule ."]))
    assert features.shape == (3, 7, 16)
    assert (features[~mask] == 0).all()


def test_a_text_does_not_depend_on_its_neighbours(encoder, adapter):
    alone = adapter(encoder(["no nodule"]))
    beside = adapter(encoder(["no nodule", "left pleural effusion , no cardiomegaly ."]))
    torch.testing.assert_close(beside.features[0, :2], alone.features[0])


def test_order_counts(encoder, adapter):
    denied, stated = (adapter(encoder([text])).features for text in ("no nodule , effusion", "no effusion , nodule"))
    assert not torch.allclose(denied[0].sum(0), stated[0].sum(0), atol=1e-3)


def test_a_token_sees_four_neighbours_per_convolution(adapter):
    features = torch.randn(1, 30, 8, requires_grad=True)
    text = TextFeatures(features, torch.ones(1, 30, dtype=torch.bool))
    adapter(text).features[0, 15].sum().backward()
    assert features.grad[0].abs().sum(1).nonzero().flatten().tolist() == list(range(7, 24))


def test_learns_what_a_bag_of_words_cannot():
    """Whether "nodule" is denied: the words are the same, only their order tells. Pooled, as cross-attention would."""
    torch.manual_seed(0)
    encoder = HashedWordEncoder(width=32, num_buckets=97)
    adapter, head = ConvTextAdapter(width_in=32, width=32), nn.Linear(32, 1)
    fillers = ["effusion", "atelectasis", "emphysema", "cardiomegaly"]
    texts = [f"no {filler} . nodule ." for filler in fillers] + [f"no nodule . {filler} ." for filler in fillers]
    present = torch.tensor([1.0] * 4 + [0.0] * 4)
    modules = nn.ModuleList([encoder, adapter, head])
    optimizer = torch.optim.Adam(modules.parameters(), lr=3e-3)
    for _ in range(60):
        features, mask = adapter(encoder(texts))
        logits = head(features.sum(1) / mask.sum(1, keepdim=True)).squeeze(-1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, present)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((logits > 0) == present.bool()).all()


def test_word_dropout_blanks_its_share_in_training_alone():
    torch.manual_seed(0)
    encoder = HashedWordEncoder(width=4, word_dropout_prob=0.2)
    text = [" ".join(["word"] * 200)] * 20
    encoder.train()
    blanked = (encoder(text).features == 0).all(-1).float().mean().item()
    assert abs(blanked - 0.2) < 3 * (0.2 * 0.8 / 4000) ** 0.5
    encoder.eval()
    assert not (encoder(text).features == 0).all(-1).any()
