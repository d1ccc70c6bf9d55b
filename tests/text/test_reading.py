"""How much of a text is read, and how that is said."""

import pytest

from generatect.errors import InputError
from generatect.text.conditioner import TextConditioner
from generatect.text.hashed_words import HashedWordEncoder
from generatect.text.prompt import require_texts
from generatect.text.reading import TextRead, advise, describe_cut, read_up_to

TEXTS = ["", "Clear.", "word " * 7, "word, " * 20]


def test_what_is_read_is_what_is_encoded():
    text = TextConditioner(HashedWordEncoder(width=2, num_buckets=9, max_tokens=7))
    reads = text.reads(TEXTS)
    assert [read.tokens for read in reads] == [0, 2, 7, 40]
    assert [read.read for read in reads] == text(TEXTS).mask.sum(1).tolist()
    assert [read.is_cut for read in reads] == [False, False, False, True]


def test_what_follows_the_encoder_may_stop_sooner():
    text = TextConditioner(HashedWordEncoder(width=2, num_buckets=9, max_tokens=7))
    assert text.reads(["word " * 20], max_tokens=5) == [TextRead(20, 5)]
    assert text.reads(["word " * 20], max_tokens=50) == [TextRead(20, 7)]


def test_a_text_is_counted_as_it_is_cleaned():
    encoder = HashedWordEncoder(width=2, num_buckets=9)
    assert TextConditioner(encoder, clean=True).reads(["patient's"]) == [TextRead(1, 1)]
    assert TextConditioner(encoder).reads(["patient's"]) == [TextRead(2, 2)]


def test_the_line_on_what_is_cut():
    assert describe_cut(read_up_to(128, [100, 128]), "prompts") is None
    assert describe_cut(read_up_to(128, [267]), "prompts") == "reads 128 of 267 tokens"
    assert describe_cut(read_up_to(128, [100, 1375, 267]), "reports") == (
        "2 of 3 reports are longer than the 128 tokens that the text encoder reads (median 267, longest 1,375)"
    )


@pytest.mark.parametrize(
    ("limit", "lengths", "advice"),
    [
        (128, [128, 384], "50% of all tokens are lost; set text_encoder.encoder.max_tokens=384"),
        (128, [300], "57% of all tokens are lost; set text_encoder.encoder.max_tokens=320"),
        (
            256,
            [512, 1000, 600],
            "64% of all tokens are lost; set text_encoder.encoder.max_tokens=512 (2 are longer than",
        ),
        (512, [1024], "50% of all tokens are lost; train on the impression alone (data.template=impression)"),
    ],
)
def test_what_to_set(limit, lengths, advice):
    assert advise(read_up_to(limit, lengths)).startswith(advice)


def test_a_single_text_is_not_a_list_of_letters():
    text = TextConditioner(HashedWordEncoder(width=2, num_buckets=9))
    for call in (text, text.reads, text._encoder[0]):
        with pytest.raises(InputError, match=r"texts: is one text of 14 characters; expected a list of texts"):
            call("Large effusion")
        with pytest.raises(InputError, match=r"texts: character 8 is U\+D83D, half of a character"):
            call(["Clear.", "nodule \ud83d"])
    with pytest.raises(InputError, match="prompt: holds a list; expected texts alone"):
        require_texts([["Clear."]], "prompt")
