"""Names of training sets."""

import pytest

from generatect.errors import InputError
from generatect.utility_study.sets import training_sets


def test_what_the_names_mean():
    names = ["real", "synthetic", "both", "3x synthetic", "real + 10x synthetic", "2 x  synthetic"]
    found = [(each.has_real, each.num_times) for each in training_sets(names)]
    assert found == [(True, 0), (False, 1), (True, 1), (False, 3), (True, 10), (False, 2)]


@pytest.mark.parametrize(
    "names",
    [
        ["synthetic"],
        ["real", "real"],
        ["real", "both", "real + synthetic"],
        ["real", "fake"],
        ["real", "0x synthetic"],
        ["real", "3x real"],
        ["real", "real + real"],
        [],
    ],
)
def test_other_names_are_refused_in_one_line(names):
    with pytest.raises(InputError) as raised:
        training_sets(names)
    assert "\n" not in str(raised.value)
    assert "expected" in str(raised.value)
