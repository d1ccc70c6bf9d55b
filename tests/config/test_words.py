"""A word of the shell is a setting, or one line about what was meant; a text is taken as it stands."""

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from generatect.config.targets import type_hints
from generatect.config.words import as_it_stands, read_words
from generatect.errors import InputError
from generatect.generate import generate
from generatect.render import name_inputs, render
from generatect.search import as_own
from generatect.train import train

HINTS: dict[str, Any] = {
    **{"prompt": str | None, "input": str, "tokenizer": str | None, "weights": str | dict[str, str]},
    **{
        "views": list[str],
        "browse": str | list[str] | None,
        "seed": int,
        "memory": str | float,
        "data": dict[str, Any],
    },
}
FILES = [
    *("scan (1).nii.gz", "a=b", "scan (1), copy=2.nii.gz", "[old] scan.nii", "{x}", "Größe.nii.gz", "~/scan.nii.gz"),
    *("it's.nii", 'a "b" c', "#1.nii", "a;b&c!.nii", "C:\\data\\x", "2024", "1e5", "true", " blank ", "a,b.nii", "50%"),
    *("x: y", "a\\", "interval(1", "ct/a b/c+d@e.nii", "None"),
]


def read(word: str) -> object:
    """What the command gets for `key=value`."""
    (override,) = OverridesParser.create().parse_overrides([word])
    assert not override.is_sweep_override()
    node = OmegaConf.create({"seed": 1})
    OmegaConf.update(node, override.key_or_group, override.value())
    return OmegaConf.select(node, override.key_or_group)


@pytest.mark.parametrize("file", FILES)
def test_a_path_is_taken_as_it_stands(file):
    assert read(as_it_stands(f"input={file}", HINTS)) == file


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith(("[", "{"))])
def test_so_is_one_where_lists_and_mappings_are_taken_too(file):
    assert read(as_it_stands(f"weights={file}", HINTS)) == file
    assert read(as_it_stands(f"browse={file}", HINTS)) == file


@pytest.mark.parametrize("file", ["/a (1)/b", "/Größe/b", "/a,b/c", "~/x=y"])
def test_and_one_of_a_setting_within_others(file):
    assert read(as_it_stands(f"data.root={file}", HINTS)) == file
    assert read(as_it_stands(f"+data.root={file}", HINTS).lstrip("+")) == file


@pytest.mark.parametrize(
    "text",
    [
        "No effusion, mild cardiomegaly.",
        "Findings: nodule (4 mm) in the right upper lobe; liver = normal [sic] {?}",
        "It's the patient's 2nd CT",
        'A "ground glass" opacity',
        "ends with a backslash \\",
        "two \\\\",
        "quote after backslash \\' here",
        "costs ${seed} and $5 and ${oc.env:HOME}",
        "50",
        "true",
        " spaces ",
        "Übersicht: Größe 3 µm",
        "line\nbreak",
        "",
        "'",
        '"one" and "two"',
    ],
)
def test_a_prompt_is_taken_as_it_stands(text):
    assert read(as_it_stands(f"prompt={text}", HINTS)) == text


@pytest.mark.parametrize(
    "word",
    [
        *("prompt='as Hydra wants it'", "prompt=null", "input='a (1)'", "tokenizer=null", "input=${output}/a"),
        *("weights={ctvit:a,superres:b}", "browse=[a,b]", "views=[gif,png]", "seed=1", "memory=8", "memory=8GB"),
        *("seed=[1", "views=[gif", "weights={a", "data=folder", "data.weights=[a b (1)", "~callbacks.previews"),
        *("data.betas=[0.9,0.99]", "data.lr=tag(log,interval(1e-5,1e-2))", "data.dim=16,32", "tokenizer=glob(*)"),
    ],
)
def test_the_rest_stays_as_it_is(word):
    assert as_it_stands(word, HINTS) == word


@pytest.mark.parametrize("word", ["tokenizer=a,b", "tokenizer='a,b',c", "data.root=/a/b,/c/d", "tokenizer=a (1),b"])
def test_in_a_sweep_a_comma_parts_jobs(word):
    assert as_it_stands(word, HINTS, sweeps=True) == word


def test_settings_come_before_options():
    words = read_words(["seed=1", "-m", "input=a,b", "--cfg", "job", "~x.y"], HINTS)
    assert words == ["seed=1", "input=a,b", "~x.y", "-m", "--cfg", "job"]


@pytest.mark.parametrize(
    ("function", "word", "meant"),
    [
        (generate, "A large effusion", 'did you mean prompt="A large effusion"?'),
        (generate, "HU = 40, effusion", 'did you mean prompt="HU = 40, effusion"?'),
        (generate, 'a "b" $c', """did you mean prompt='a "b" $c'?"""),
        (generate, "prompt", "did you mean prompt=…?"),
        (generate, "--prompt", "without dashes, as key=value; did you mean prompt=…?"),
        (generate, "--prompt=a b", 'did you mean prompt="a b"?'),
        (generate, "--nothing", "--help lists them"),
        (render, "scan.nii.gz", "did you mean input=scan.nii.gz?"),
        (train, "ctvit", "did you mean stage=ctvit?"),
        (train, "nonsense", "expected key=value; --help lists the settings"),
    ],
)
def test_a_word_that_is_no_setting_is_answered_by_what_was_meant(function, word, meant):
    hints = {name: hint for name, hint in type_hints(function).items() if name != "return"}
    with pytest.raises(InputError) as caught:
        read_words(["seed=1", word], hints)
    assert meant in str(caught.value)


def test_an_option_with_an_impossible_value_is_one_line():
    with pytest.raises(InputError, match="invalid choice: 'foo'"):
        read_words(["--cfg", "foo"], HINTS)


def test_files_to_render_may_be_called_anything(tmp_path):
    odd = tmp_path / "a=b"
    odd.write_text("")
    files = ["scan (1), copy=2.nii.gz", "it's \\ one.nii", str(odd)]
    (input_word, *others) = name_inputs([*files, "window=lung", "-m"])
    assert read(input_word) == files
    assert others == ["window=lung", "-m"]


def test_a_search_takes_paths_as_they_stand_and_what_varies_as_it_is():
    *_, training = as_own(["trials=2", "tokenizer=a (1)", "seed=1,2", "data.root=/Größe"])
    assert read(training) == ["tokenizer='a (1)'", "seed=1,2", "data.root='/Größe'"]
