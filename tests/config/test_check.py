"""What the check of a configuration lets through."""

from collections.abc import Sequence
from typing import Literal

import pytest

from generatect.config.build import build
from generatect.config.check import check_arguments, check_config, did_you_mean
from generatect.errors import InputError


def settings(
    *,
    count: int = 1,
    rate: float = 0.5,
    name: str | None = None,
    flag: bool = False,
    sizes: tuple[int, int] | list[int] = (1, 2),
    pair: tuple[int, int] = (1, 2),
    kind: Literal["a", "b"] = "a",
    parts: list[str] | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Stands for any constructor."""


@pytest.mark.parametrize(
    "good",
    [
        {"count": 3},
        {"rate": 1},  # YAML writes 1 for 1.0
        {"rate": 1e-4},
        {"name": None},
        {"name": "x"},
        {"flag": True},
        {"sizes": [1, 2]},
        {"sizes": []},
        {"pair": [3, 4]},
        {"kind": "b"},
        {"parts": ["x", "y"]},
        {"labels": ["x", "y"]},
        {"name": {"_target_": "generatect.errors.InputError"}},  # becomes an object, which building judges
    ],
)
def test_right_values_pass(good):
    check_arguments(settings, good)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"count": "many"}, "^here.count: 'many' is not of the expected type int$"),
        ({"count": 1.5}, "here.count: 1.5"),
        ({"count": True}, "here.count: True"),
        ({"count": None}, "here.count: None"),
        ({"rate": "1e-4"}, "here.rate: '1e-4' is not of the expected type float"),  # YAML reads 1e-4 as text
        ({"rate": False}, "here.rate: False"),
        ({"name": 5}, "here.name: 5"),
        ({"labels": "Emphysema"}, r"here.labels: 'Emphysema' is not of the expected type .*; write \[Emphysema\]$"),
        ({"parts": "x"}, r"here.parts: 'x' .*; write \[x\]$"),
        ({"flag": 1}, "here.flag: 1"),
        ({"flag": "yes"}, "here.flag: 'yes'"),
        ({"sizes": [1, 2, 3, 4, "5"]}, "here.sizes"),
        ({"pair": [1, 2, 3]}, "here.pair"),
        ({"pair": [1, "2"]}, "here.pair"),
        ({"kind": "c"}, "here.kind: 'c'"),
        ({"parts": "x"}, "here.parts: 'x'"),
        ({"cuont": 3}, "here.cuont: no such setting, did you mean 'count'"),
        ({"zzz": 3}, "here.zzz: no such setting, known: count, flag"),
    ],
)
def test_wrong_values_are_named(wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        check_arguments(settings, wrong, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [
        "shutil.rmtree",
        "os.system",
        "builtins.eval",
        "generatectevil.x",
        "pip._internal.main",
        "lightning.Trainer2.x",
        3,
    ],
)
def test_foreign_targets_are_refused(target):
    with pytest.raises(InputError, match=r"is not allowed|cannot be imported"):
        check_config({"a": [{"b": {"_target_": target}}]})


def test_a_way_out_of_an_allowed_package_is_no_way():
    """Our own modules import others; a dotted path must not reach through them."""
    for target in ("generatect.files.os.remove", "generatect.config.command.sys.exit", "torch.optim.torch.load"):
        with pytest.raises(InputError, match=r"is not allowed|cannot be imported"):
            check_config({"_target_": target})


def test_targets_are_checked_at_any_depth():
    node = {"list": [{"_target_": "torch.optim.AdamW", "_partial_": True, "lrr": 1.0}]}
    with pytest.raises(InputError, match=r"^list\[0\].lrr: no such setting, did you mean 'lr'"):
        check_config(node)


def test_building_passes_objects_as_they_are():
    marker = object()
    built = build({"_target_": "builtins.dict", "plain": {"a": [1]}}, live=marker)
    assert built["live"] is marker  # no copy, as Hydra would make
    assert type(built["plain"]) is dict
    assert type(built["plain"]["a"]) is list


def test_a_hint_names_the_nearest():
    assert did_you_mean("stgae", ["stage", "model"]) == "did you mean 'stage'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
