"""Frozen T5 (a tiny one, made here), the cache of its features, and the conditioner around both encoders."""

import copy
import json
import shutil

import pytest
import torch
from torch import nn

from generatect.checkpoints.rebuild import rebuild_text
from generatect.checkpoints.stage_file import StageFile
from generatect.errors import InputError
from generatect.text.adapter import ConvTextAdapter
from generatect.text.cache import FeatureCache
from generatect.text.conditioner import TextConditioner, build_conditioner
from generatect.text.hashed_words import HashedWordEncoder
from generatect.text.t5 import T5TextEncoder

TEXTS = ["no nodule", "left pleural effusion and a nodule", "nodule"]
WORDS = sorted({word for text in TEXTS for word in text.split()})


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory):
    """A complete T5 of a few thousand weights with a word tokenizer, as `save_pretrained` leaves it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("tiny_t5")
    vocabulary = {token: index for index, token in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(vocabulary), d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def t5(t5_folder):
    return T5TextEncoder(name_or_path=str(t5_folder))


def test_t5_features_are_its_last_hidden_state(t5, t5_folder):
    from transformers import AutoTokenizer, T5EncoderModel

    features, mask = t5(TEXTS)
    model, tokenizer = T5EncoderModel.from_pretrained(t5_folder).eval(), AutoTokenizer.from_pretrained(t5_folder)
    assert features.shape == (3, 7, 16)
    assert t5.width == 16
    assert (features[~mask] == 0).all()
    assert not features.requires_grad
    for text, row, present in zip(TEXTS, features, mask, strict=True):
        with torch.no_grad():
            expected = model(**tokenizer([text], return_tensors="pt"))[0][0]
        torch.testing.assert_close(row[present], expected)


def test_t5_cuts_long_texts(t5_folder):
    assert T5TextEncoder(name_or_path=str(t5_folder), max_tokens=3)(TEXTS).mask.sum(1).tolist() == [3, 3, 2]


def test_t5_counts_what_it_would_read_without_a_limit(t5, t5_folder):
    short = TextConditioner(T5TextEncoder(name_or_path=str(t5_folder), max_tokens=3))
    reads = short.reads(TEXTS)
    assert [read.tokens for read in reads] == t5(TEXTS).mask.sum(1).tolist() == [3, 7, 2]
    assert [read.read for read in reads] == short(TEXTS).mask.sum(1).tolist()
    assert short.reads([]) == []
    assert t5.max_tokens == 512


def test_t5_ignores_the_precision_of_the_run(t5):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        autocast = t5(TEXTS).features
    assert torch.equal(autocast, t5(TEXTS).features)


def test_a_missing_t5_is_one_line_that_says_what_to_do(tmp_path, monkeypatch):
    for name in (str(tmp_path), str(tmp_path / "absent")):
        with pytest.raises(InputError, match=r"text_encoder\.encoder\.name_or_path") as caught:
            T5TextEncoder(name_or_path=name)
        assert name in str(caught.value)
        assert "without a network" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_local_t5_takes_the_place_of_the_one_that_weights_name(t5, t5_folder, tmp_path):
    text = {"encoder": {"kind": "t5", "name_or_path": "nobody/no-such-t5"}, "adapter": None}
    file = StageFile(tmp_path / "a.safetensors", {"text": text}, {}, "")
    assert torch.equal(rebuild_text(file, t5=str(t5_folder))(TEXTS).features, t5(TEXTS).features)
    own_words = {"encoder": {"kind": "hashed_words", "width": 4}}
    state = {f"text.{key}": value for key, value in build_conditioner(own_words).state_dict().items()}
    assert rebuild_text(StageFile(file.path, {"text": own_words}, state, ""), t5=str(t5_folder)).width == 4


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="expected 't5'"):
        T5TextEncoder(name_or_path=str(tmp_path))


def test_identity_follows_content_and_length(t5, t5_folder, tmp_path):
    import shutil

    copied = shutil.copytree(t5_folder, tmp_path / "elsewhere")
    assert T5TextEncoder(name_or_path=str(copied)).identity == t5.identity
    assert T5TextEncoder(name_or_path=str(copied), max_tokens=9).identity != t5.identity
    config = copied / "config.json"
    config.write_text(config.read_text().replace('"num_heads": 2', '"num_heads": 2 '))
    assert T5TextEncoder(name_or_path=str(copied)).identity != t5.identity


def test_a_frozen_encoder_is_no_part_of_its_owner(t5):
    conditioner = TextConditioner(t5, ConvTextAdapter(width_in=16, width=8))
    before = t5(TEXTS).features
    owned = {name.split(".")[0] for name, _ in conditioner.named_parameters()}
    assert owned == {"adapter"}
    assert {name.split(".")[0] for name in conditioner.state_dict()} == {"adapter"}
    assert copy.deepcopy(conditioner)._encoder[0] is t5  # an EMA copy shares it

    optimizer = torch.optim.SGD(conditioner.train().parameters(), lr=1.0)
    conditioner(TEXTS).features.sum().backward()
    optimizer.step()
    assert torch.equal(t5(TEXTS).features, before)


def test_a_frozen_module_is_hidden_too():
    class FrozenModule(nn.Module):
        is_frozen, width, max_tokens = True, 4, 8

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def describe(self):
            return {"kind": "made here"}

        def count_tokens(self, texts):
            raise NotImplementedError

        def forward(self, texts):
            raise NotImplementedError

    conditioner = TextConditioner(FrozenModule())
    assert not list(conditioner.parameters())
    assert not conditioner.state_dict()


def test_a_trainable_encoder_is_trained():
    conditioner = TextConditioner(HashedWordEncoder(width=4, num_buckets=50), ConvTextAdapter(width_in=4, width=8))
    assert conditioner.width == 8
    conditioner(TEXTS).features.square().sum().backward()
    assert {name.split(".")[0] for name, p in conditioner.named_parameters() if p.grad is not None} == {
        "encoder",
        "adapter",
    }


@pytest.mark.parametrize("cached", [False, True])
def test_features_are_those_of_the_encoder(t5, tmp_path, cached):
    conditioner = TextConditioner(t5, cache_dir=str(tmp_path) if cached else None)
    texts = [TEXTS[1], TEXTS[0], TEXTS[1], TEXTS[2]]  # one of them twice
    expected = t5(texts)
    for _ in range(2):
        features, mask = conditioner(texts)
        torch.testing.assert_close(features, expected.features)
        assert torch.equal(mask, expected.mask)
        assert (features[~mask] == 0).all()


class CountingEncoder:
    """A frozen encoder that keeps what it was asked."""

    is_frozen, width, max_tokens, identity = True, 2, 8, "counting"

    def __init__(self):
        self.asked: list[str] = []

    def to(self, device):
        return self

    def describe(self):
        return {"kind": "made here"}

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def __call__(self, texts):
        self.asked += texts
        return HashedWordEncoder(width=2, num_buckets=9)(texts)


def test_each_text_is_encoded_once(tmp_path):
    encoder = CountingEncoder()
    for _ in range(2):  # the second conditioner finds what the first one left
        conditioner = TextConditioner(encoder, cache_dir=str(tmp_path))
        conditioner(["a", "b", "a"])
        conditioner(["b", "c"])
    assert encoder.asked == ["a", "b", "c"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit"])
def test_a_damaged_cache_file_is_replaced(tmp_path, damage):
    cache, features = FeatureCache(tmp_path, "id"), torch.randn(5, 3)
    cache.put("text", features)
    path = cache.path("text")
    content = bytearray(path.read_bytes())
    if damage == "one bit":
        content[-7] ^= 1
    path.write_bytes({"truncated": content[:-9], "empty": b"", "one bit": content}[damage])
    assert cache.get("text") is None
    cache.put("text", features)
    assert torch.equal(cache.get("text"), features)


def test_features_of_another_text_type_or_shape_are_not_taken(tmp_path):
    cache, features = FeatureCache(tmp_path, "id"), torch.randn(6, 4)
    cache.put("text", features)
    path = cache.path("text")
    cache.path("other").parent.mkdir(exist_ok=True)
    shutil.copy(path, cache.path("other"))
    assert cache.get("other") is None
    content = path.read_bytes()
    for old, new in ((b"[6,4]", b"[4,6]"), (b'"F32"', b'"I32"')):
        path.write_bytes(content.replace(old, new))
        assert path.read_bytes() != content
        assert cache.get("text") is None


def test_cache_keys(tmp_path):
    cache = FeatureCache(tmp_path, "id")
    cache.put("a nodule", torch.ones(1, 2))
    assert cache.get("a nodule ") is None
    assert FeatureCache(tmp_path, "other").get("a nodule") is None
    assert not [path for path in tmp_path.rglob("*") if "nodule" in path.name]


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cache_dir="):
        FeatureCache(tmp_path / "file" / "cache", "id")


def test_descriptions_rebuild(t5, t5_folder):
    for conditioner in (
        TextConditioner(t5, ConvTextAdapter(width_in=16, width=8, num_layers=1, kernel=3)),
        TextConditioner(HashedWordEncoder(width=4, num_buckets=50, max_tokens=7)),
    ):
        description = json.loads(json.dumps(conditioner.describe()))
        rebuilt = build_conditioner(description)
        assert rebuilt.describe() == description
        rebuilt.load_state_dict(conditioner.state_dict())
        assert torch.equal(rebuilt(TEXTS).features, conditioner(TEXTS).features)


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ({"kind": "t6"}, "'t6' is unknown.*t5"),
        ({"kind": "hashed_words", "width": 4, "buckets": 3}, "num_buckets"),
        ({"kind": "hashed_words", "width": "four"}, "width"),
    ],
)
def test_wrong_descriptions_are_named(encoder, words):
    with pytest.raises(InputError, match=words):
        build_conditioner({"encoder": encoder, "adapter": None})


def test_widths_must_agree():
    with pytest.raises(InputError, match=r"width_in=5.*gives 4"):
        TextConditioner(HashedWordEncoder(width=4), ConvTextAdapter(width_in=5, width=8))


def test_cleaning_is_described_and_takes_out_quotes_and_brackets():
    encoder = {"kind": "hashed_words", "width": 4, "num_buckets": 64}
    torch.manual_seed(0)
    cleaning = build_conditioner({"encoder": encoder, "adapter": None, "clean_prompt": True})
    assert build_conditioner(cleaning.describe()).clean
    assert not build_conditioner({"encoder": encoder}).clean
    # "it's" is two words to the encoder, "its" is one
    assert torch.equal(cleaning(["it's (clear)"]).features, cleaning(["its clear"]).features)


@pytest.mark.parametrize(
    ("description", "setting"),
    [
        ({"encoder": {"kind": "t6"}}, "text_encoder.encoder.kind"),
        ({"encoder": {"kind": "hashed_words", "width": 0}}, "text_encoder.encoder.width"),
        ({"encoder": {"kind": "hashed_words", "widht": 4}}, "text_encoder.encoder.widht"),
        ({"encoder": {"kind": "hashed_words", "width": 4}, "adapter": {"width": 4, "kernel": 2}}, "adapter.kernel"),
        ({"encoder": {"kind": "hashed_words", "width": 4}, "adapter": {"width_in": 5, "width": 4}}, "adapter.width_in"),
    ],
)
def test_errors_name_the_setting_where_it_is(description, setting):
    with pytest.raises(InputError, match=setting):
        build_conditioner(description)


def test_a_cache_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert FeatureCache("~/cache", "x").folder == tmp_path / "cache"
    assert not (tmp_path / "~").exists()
