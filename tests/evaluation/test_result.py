"""A result is what its file says, and a table holds only numbers that compare."""

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from generatect.errors import InputError
from generatect.evaluation.result import (
    DetectorRecord,
    Floor,
    Result,
    read_results,
    refuse_mixed,
    write_results,
)
from generatect.evaluation.result_csv import write_results_csv
from generatect.evaluation.terminal import COLUMNS, TABLE_WIDTH, show_results

FVD = Result(
    metric="fvd",
    value=123.5,
    preset="robust",
    num_real=8,
    num_fake=9,
    fake_files_sha256="f" * 64,
    real_files_sha256="e" * 64,
    interval=(100.0, 150.0),
    floor=Floor(90.0, (80.0, 99.0), 4, "real against real"),
    num_dropped=1,
    detector=DetectorRecord("i3d.pt", "d" * 64, 400),
    weights={"ctvit": "a" * 64},
    protocol={"name": "robust", "ddof": 1, "hu_range": [-1000.0, 1000.0], "grid": {"rule": "one"}},
    notes=("1 volumes dropped: shorter than 16 slices",),
)
CLIP = Result(metric="clip_score", value=25.0, preset="robust", num_real=0, num_fake=9, fake_files_sha256="f" * 64)


def test_what_is_read_is_what_was_written(tmp_path):
    write_results(tmp_path / "results.json", [FVD, CLIP])
    assert read_results(tmp_path / "results.json") == [FVD, CLIP]
    assert set(FVD.versions) == {"generatect", "numpy", "torch", "torchmetrics", "transformers"}


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "results.json"
    changes = [
        lambda item: item.pop("value"),
        lambda item: item.update(format="other/1"),
        lambda item: item.update(surprise=1),
        lambda item: item.update(floor={"value": 1}),
        lambda item: item.update(interval=[1.0]),
    ]
    for change in changes:
        content = FVD.to_json()
        change(content)
        path.write_text(json.dumps([content]))
        with pytest.raises(InputError, match=r"results\.json") as refused:
            read_results(path)
        assert "\n" not in str(refused.value)
    for text in ("{}", "hello", "[1]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"results\.json"):
            read_results(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "absent.json")


def test_the_csv_has_a_row_for_each(tmp_path):
    write_results_csv(tmp_path / "results.csv", [FVD, CLIP])
    with (tmp_path / "results.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["value"], first["low"], first["floor"], first["detector"]) == ("123.5", "100.0", "90.0", "i3d.pt")
    assert (second["metric"], second["low"], second["floor"], second["width"]) == ("clip_score", "", "", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"preset": "stylegan_v"}, "preset is robust in one result and stylegan_v in another"),
        ({"num_real": 7}, "fvd: number of real volumes is 8 in one result and 7"),
        ({"num_fake": 8}, "fvd: number of generated volumes"),
        ({"detector": DetectorRecord("i3d.pt", "c" * 64, 400)}, "fvd: detector"),
        ({"protocol": FVD.protocol | {"ddof": 0}}, "fvd: protocol"),
    ],
)
def test_a_table_refuses_what_does_not_compare(change, said):
    with pytest.raises(InputError, match=said):
        refuse_mixed([FVD, CLIP, replace(FVD, **change)])


def test_a_table_takes_other_volumes_metrics_and_grids():
    other_grid = replace(FVD, value=1.0, fake_files_sha256="0" * 64, protocol=FVD.protocol | {"grid": {"rule": "fake"}})
    refuse_mixed([FVD, CLIP, other_grid])
    refuse_mixed([])


@pytest.mark.parametrize(
    ("value", "num_fake", "said"),
    [
        (123.5, 9, []),
        (98.0, 4, ["it shows no difference between generated and real volumes"]),
        (70.0, 9, ["a floor of 4 against 4 is high: twice as many real"]),
    ],
)
def test_the_terminal_says_what_a_value_beside_its_floor_means(value, num_fake, said):
    screen = io.StringIO()
    show_results([replace(FVD, value=value, num_fake=num_fake), CLIP], Console(file=screen, width=TABLE_WIDTH))
    shown = screen.getvalue()
    assert all(column in shown for column in COLUMNS)
    assert ("not above its floor" in shown) == bool(said)
    assert all(part in shown for part in said)
