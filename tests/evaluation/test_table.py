"""The results table from weights and data, as a user runs it, with the smallest model."""

import contextlib
import csv
import io
import json
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from generatect.ct.nifti import write_nifti
from generatect.evaluate import main
from generatect.evaluation.result import Result
from generatect.phantom.pairs import PhantomPairs
from tests.conftest import Ended
from tests.evaluation.tiny_clip import write_clip

METHODS = ["CT-ViT", "Transformer", "Diffusion", "GenerateCT"]


def run_table(*settings: str) -> Ended:
    """`python -m generatect.evaluate table SETTINGS` in this process."""
    GlobalHydra.instance().clear()
    out, err, code, argv = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["evaluate", "table", *settings]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = argv
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def weights(train_tiny, tmp_path_factory) -> Path:
    """All three stages of the smallest model, over slices as near to each other as those of a CT."""
    folder = tmp_path_factory.mktemp("weights")
    train_tiny("ctvit", "preset.fov_mm_zyx=[80.0,256.0,256.0]", "steps=1", output=folder / "ctvit")
    for stage in ("transformer", "superres"):
        train_tiny(stage, f"tokenizer={folder}", "steps=1", "data.pairs.num=12", output=folder / stage)
    return folder


@pytest.fixture(scope="module")
def small(weights, tmp_path_factory) -> list[str]:
    """Settings of the quickest table."""
    cache = tmp_path_factory.mktemp("cache")
    return [
        f"weights={weights}",
        f"cache_dir={cache}",
        "num_volumes=4",
        "num_fit=40",
        "num_counterfactuals=1",
        "num_shown=2",
        "tokens.steps=2",
        "upscale.steps=1",
        "evaluation.clip_length=4",
        "evaluation.resamples=20",
        "evaluation.floor_splits=5",
        "device=cpu",
    ]


@pytest.fixture(scope="module")
def made(small, tmp_path_factory) -> tuple[Path, Ended]:
    """A table with CLIP scores, and what its command printed."""
    output = tmp_path_factory.mktemp("results")
    clip = write_clip(tmp_path_factory.mktemp("clip") / "model")
    ended = run_table(*small, f"clip_score.model={clip}", f"output={output}")
    assert ended.code == 0, ended.err
    return output, ended


def rows_of(output: Path) -> list[dict[str, str]]:
    with open(output / "table.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_four_rows_with_value_interval_and_floor(made):
    output, ended = made
    rows = rows_of(output)
    assert [row["method"] for row in rows] == METHODS
    assert [row["resolution"] for row in rows] == ["16", "16", "32", "32"]
    assert [row["dimension"] for row in rows] == ["3D", "3D", "2D", "3D"]
    assert [row["text_guided"] for row in rows] == ["no", "yes", "yes", "yes"]
    for row in rows:
        for metric in ("fid", "fvd"):
            value, low, high, floor = (float(row[f"{metric}{part}"]) for part in ("", "_low", "_high", "_floor"))
            assert 0 <= low <= high
            assert low <= value <= high or value == pytest.approx(low)
            assert floor > 0
            assert (row[f"{metric}_num_fake"], row[f"{metric}_num_real"]) == ("4", "8")
        assert bool(row["clip_score"]) == (row["text_guided"] == "yes")
    assert "Preset robust: 4 volumes of each method against 8 real ones" in ended.out.replace("\n", " ")
    assert "PHANTOM" in ended.out
    assert "SYNTHETIC" in ended.out


def test_the_results_say_what_they_were_measured_on_and_with(made):
    content = json.loads((made[0] / "table.json").read_text(encoding="utf-8"))
    for row in content["rows"]:
        results = [Result.from_json(item) for item in row["results"]]
        assert {"fid", "fvd", "fid_2.5d", "hu_histogram", "z_continuity"} <= {result.metric for result in results}
        assert ("psnr" in {result.metric for result in results}) == (row["method"] in ("CT-ViT", "Diffusion"))
    stages = {row["method"]: set(Result.from_json(row["results"][0]).weights) for row in content["rows"]}
    assert stages == {
        "CT-ViT": {"ctvit"},
        "Transformer": {"ctvit", "transformer"},
        "Diffusion": {"superres"},
        "GenerateCT": {"ctvit", "transformer", "superres"},
    }
    assert len(content["counterfactuals"]) == 13
    assert len(content["findings"]) == 16


def test_an_interrupted_evaluation_makes_only_what_is_missing(made, small):
    output, _ = made
    volumes = sorted((output / "work").glob("*/*.nii.gz"))
    assert len(volumes) == 8 * 2 + 4 * 4 + 13 * 2
    missing, damaged = (output / "work" / "generated" / volumes_of(output, "generated")[place] for place in (1, 2))
    content = {path: path.read_bytes() for path in volumes}
    times = {path: path.stat().st_mtime_ns for path in volumes}
    missing.unlink()
    damaged.write_bytes(content[damaged][:100])
    [setting] = [word for word in json.loads((output / "table.json").read_text())["settings"]["clip_score"].values()]
    before = (output / "table.csv").read_bytes()
    ended = run_table(*small, f"clip_score.model={setting}", f"output={output}")
    assert ended.code == 0, ended.err
    assert {path for path in volumes if path.stat().st_mtime_ns != times[path]} == {missing, damaged}
    assert all(path.read_bytes() == content[path] for path in volumes)
    assert (output / "table.csv").read_bytes() == before


def volumes_of(output: Path, kind: str) -> list[str]:
    return sorted(path.name for path in (output / "work" / kind).glob("*.nii.gz"))


def test_other_data_give_a_table_too_and_say_what_cannot_be_measured(small, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    pairs = PhantomPairs(num=4, native_shape_zyx=(18, 24, 24))
    lines = ["volume,patient,text"]
    for index in range(len(pairs)):
        write_nifti(scans / f"{index}.nii.gz", pairs.volume(index))
        lines.append(f'{index}.nii.gz,patient-{index},"{pairs.text(index)}"')
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    data = ["data=folder", f"data.root={scans}", f"data.table={table}", "split=all", "num_real=4"]
    ended = run_table(*small, *data, "evaluation=stylegan_v", "evaluation.clip_length=4", f"output={tmp_path / 'out'}")
    assert ended.code == 0, ended.err
    rows = rows_of(tmp_path / "out")
    assert [row["method"] for row in rows] == METHODS
    assert {row["fid_preset"] for row in rows} == {"stylegan_v"}
    assert not any(row["clip_score"] for row in rows)
    assert "CLIP –: no CLIP model was named" in ended.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "no classifier of findings" in page


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["num_volumes=3"], "num_volumes=3: expected at least 4"),
        (["num_real=2"], "num_real=2: expected at least 4"),
        (["split=test"], "split=test: expected val or all"),
        (["data.pairs.num=20"], "num_volumes=4: the data have"),
        (["weights=nowhere"], "weights=nowhere"),
        (["fid.detector=none.pt"], "fid.detector=none.pt: no such file"),
        (["upscale.step=3"], "upscale.step: no such setting, did you mean"),
    ],
)
def test_what_cannot_be_used_is_one_line(settings, expected, small, tmp_path):
    ended = run_table(*small, f"output={tmp_path}", *settings)
    assert ended.code == 2
    assert expected in ended.err
    assert ended.err.count("\n") == 1
