"""What a model cannot take in of prompts is said."""

from generatect.data.prompts import Prompt
from generatect.phantom.case import PHANTOM_NOTICE, labels, sample_case
from generatect.synthesis.understanding import lines_on_length, unknown_labels
from generatect.text.reading import read_up_to

END = "what follows does not reach the model; shorten the text"


def test_stages_that_read_alike_are_said_once():
    alike = {"transformer": read_up_to(128, [267]), "superres": read_up_to(128, [267])}
    assert lines_on_length(alike) == [f"reads 128 of 267 tokens: {END}"]
    apart = {"transformer": read_up_to(128, [267]), "superres": read_up_to(256, [267])}
    assert lines_on_length(apart) == [
        f"stage transformer: reads 128 of 267 tokens: {END}",
        f"stage superres: reads 256 of 267 tokens: {END}",
    ]
    one = {"transformer": read_up_to(512, [267]), "superres": read_up_to(256, [267])}
    assert lines_on_length(one) == [f"stage superres: reads 256 of 267 tokens: {END}"]
    assert lines_on_length({"transformer": read_up_to(512, [267])}) == []


def test_labels_that_no_phantom_has_are_named():
    known = {name: "1" for name in labels(sample_case(0))}
    asked = {**known, "lung_nodule": "1", "Bronchiectasis": "1", "Lung opacity": "0", "age": "1", "": "1"}
    prompts = [Prompt("a", "x", asked), Prompt("b", "y", {name: "0" for name in asked})]
    assert unknown_labels(prompts, f"SYNTHETIC. {PHANTOM_NOTICE}") == ["Bronchiectasis"]
    assert unknown_labels(prompts, None) == []  # of real reports nobody can list what they say
    assert unknown_labels([], PHANTOM_NOTICE) == []
