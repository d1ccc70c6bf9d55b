"""What a run shows is what docs/dashboards.md says, in its files and in W&B, once for each step, whatever broke off."""

import csv
import getpass
import json
import platform
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from generatect.callbacks.latest import Latest
from generatect.loggers.hidden_paths import without_paths
from generatect.phantom.findings import LABELS
from generatect.stages.ctvit import CTViTStage
from tests.loggers.wandb_files import read_wandb, read_wandb_file, wandb_paths

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("ctvit", "transformer", "superres", "ctnet")
EVERY_STEP = ("trainer.log_every_n_steps=1", "stage.datamodule.val_fraction=0.3")
OFFLINE = ("logger=wandb", "logger.wandb.mode=offline")
REPORT = re.compile(rb"years? old")  # every phantom's report says how old


def documented(heading: str, stage: str) -> set[str]:
    """Names in a section's table that every run of a stage has on a CPU."""
    page = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `")]
    return {
        row[0].strip("`")
        for row in rows
        if (row[1] == "all" or stage in row[1].split(", ")) and not row[3].startswith(("with ", "on a GPU"))
    }


def as_documented(name: str) -> str:
    """The name of a number, with FINDING in the place of a finding's own."""
    for label in sorted(LABELS, key=len, reverse=True):
        name = name.replace(label, "FINDING")
    return name


def filled(logged: list[dict[str, str]]) -> set[str]:
    """Names of the columns that have a number anywhere."""
    return {name for name in logged[0] if any(row[name] for row in logged)} - {"step"}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def runs(train_tiny) -> dict[str, Path]:
    """The stages in turn; `transformer` alone may send what is private."""
    folders: dict[str, Path] = {}
    for stage in STAGES:
        earlier = [f"tokenizer={folders['ctvit']}"] if folders else []
        private = [f"logger.wandb.upload_private={'true' if stage == 'transformer' else 'false'}"]
        folders[stage] = train_tiny(stage, "steps=8", "val_every=4", *EVERY_STEP, *OFFLINE, *private, *earlier)
    return folders


@pytest.mark.parametrize("stage", STAGES)
def test_the_page_lists_what_a_run_logs_and_nothing_else(runs, stage):
    logged = rows(runs[stage] / "logs" / "metrics.csv")
    assert [row["step"] for row in logged] == list("12345678")
    assert {as_documented(name) for name in filled(logged)} == documented("Numbers", stage)


@pytest.mark.parametrize("stage", STAGES)
def test_wandb_holds_the_whole_dashboard(runs, stage):
    kept, logged = read_wandb(runs[stage]), rows(runs[stage] / "logs" / "metrics.csv")
    for name in filled(logged):
        assert kept.values(name) == {int(row["step"]): float(row[name]) for row in logged if row[name]}, name
    settings = OmegaConf.to_container(OmegaConf.load(runs[stage] / "config.yaml"))
    assert {key: kept.config[key] for key in settings} == without_paths(settings)
    record = json.loads((runs[stage] / "run.json").read_text())
    assert kept.config["code"].items() <= record["starts"][0].items()
    assert kept.config["code"]["commit"] is None or re.fullmatch("[0-9a-f]{40}", kept.config["code"]["commit"])
    assert (kept.run.run_id, kept.run.project, kept.run.display_name) == (record["id"], "generatect", stage)
    tables = kept.values("tables/validation.path")
    assert list(tables) == [4, 8]
    for step, path in tables.items():
        table = json.loads((kept.folder / "files" / path).read_text())
        local = rows(runs[stage] / "tables" / f"step-{step:07d}.csv")
        assert [[str(cell) for cell in row] for row in table["data"]] == [
            [row[name] for name in table["columns"]] for row in local
        ]


@pytest.mark.parametrize("stage", STAGES)
def test_each_validation_leaves_a_table_and_a_picture(runs, stage):
    for step in (4, 8):
        table = rows(runs[stage] / "tables" / f"step-{step:07d}.csv")
        assert [row["item"] for row in table] == [str(index) for index in range(6)]
        columns = {as_documented(name) for name in table[0]}
        assert columns == {"item", "name", "prompt", *documented("Per item", stage)}
        assert all(REPORT.search(row["prompt"].encode()) for row in table)
        assert len({row["name"] for row in table}) == len(table)
        with Image.open(runs[stage] / "previews" / f"step-{step:07d}.png") as picture:
            assert picture.convert("L").getextrema()[1] > 200
            assert min(picture.size) > 300


def test_the_table_agrees_with_the_validation(runs):
    table = rows(runs["ctvit"] / "tables" / "step-0000008.csv")
    mean = sum(float(row["reconstruction"]) for row in table) / len(table)
    assert mean == pytest.approx(
        float(rows(runs["ctvit"] / "logs" / "metrics.csv")[-1]["val/reconstruction"]), rel=1e-5
    )


def test_pictures_and_texts_are_sent_where_they_may_be_and_nowhere_else(runs):
    sent = read_wandb(runs["transformer"])
    for path in sent.values("previews/validation.path").values():
        with Image.open(sent.folder / "files" / path) as picture:
            picture.load()
    assert list(sent.values("previews/validation.path")) == [4, 8]
    assert all(REPORT.search(caption.encode()) for caption in sent.values("previews/validation.caption").values())
    assert any(REPORT.search(path.read_bytes()) for path in sent.folder.rglob("*.json"))
    for stage in ("ctvit", "superres", "ctnet"):
        kept = read_wandb(runs[stage])
        files = [path for path in kept.folder.rglob("*") if path.is_file()]
        assert not [path for path in files if path.suffix == ".png" or REPORT.search(path.read_bytes())]
        assert not [path for path in files if b"phantom-0000" in path.read_bytes()]


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_that_is_sent_says_where_or_who(runs, stage):
    kept = read_wandb(runs[stage])
    tables = [path.read_text() for path in (kept.folder / "files").rglob("*.json")]
    written = "\n".join([kept.sent, *tables, (runs[stage] / "run.json").read_text()])
    private = (str(runs[stage]), str(Path.home()), str(ROOT), platform.node(), f'"{getpass.getuser()}"')
    assert [text for text in private if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", written)] == []
    assert re.search(r"(?<!\w)learning_rate(?!\w)", written)  # the search finds what is there
    assert not kept.run.host
    assert len(kept.staged) == 2
    assert all(path.is_relative_to(runs[stage] / "wandb") for path in kept.staged)


class _BrokenOffError(Exception):
    """What ends a run here."""


@pytest.mark.parametrize("moment", ["two steps later", "right after the checkpoint"])
def test_a_run_broken_off_and_resumed_logs_each_step_once(train_tiny, runs, monkeypatch, tmp_path, moment):
    settings = ("steps=8", "val_every=4", "callbacks.latest.every=5", *EVERY_STEP, *OFFLINE)
    train_on, save = CTViTStage.train_on, Latest.save

    def fails_at_the_eighth(stage, batch, batch_idx):
        if batch_idx == 7:
            raise _BrokenOffError
        train_on(stage, batch, batch_idx)

    def saves_and_fails(latest, trainer):
        save(latest, trainer)
        raise _BrokenOffError

    with monkeypatch.context() as patch:
        if moment == "two steps later":
            patch.setattr(CTViTStage, "train_on", fails_at_the_eighth)
        else:
            patch.setattr(Latest, "save", saves_and_fails)
        with pytest.raises(_BrokenOffError):
            train_tiny("ctvit", *settings, output=tmp_path)
    last_before = {"two steps later": 7, "right after the checkpoint": 5}[moment]
    assert [int(row["step"]) for row in rows(tmp_path / "logs" / "metrics.csv")][:last_before] == list(
        range(1, last_before + 1)
    )
    train_tiny("ctvit", *settings, "resume=auto", output=tmp_path)

    whole, resumed = rows(runs["ctvit"] / "logs" / "metrics.csv"), rows(tmp_path / "logs" / "metrics.csv")
    same = {name for name in whole[0] if not name.startswith(("speed/", "memory/"))} - HELD
    assert [{name: row[name] for name in same} for row in resumed] == [
        {name: row[name] for name in same} for row in whole
    ]
    record = json.loads((tmp_path / "run.json").read_text())
    assert [start["from_step"] for start in record["starts"]] == [0, 5]
    kept = [read_wandb_file(path) for path in wandb_paths(tmp_path)]
    assert {one.run.run_id for one in kept} == {record["id"]}
    assert sorted(row["_step"] for one in kept for row in one.history) == list(
        range(sum(len(one.history) for one in kept))
    )
    steps = [step for one in kept for step in one.values("train/reconstruction")]
    assert sorted(steps) == list(range(1, 9))


HELD = {"train/discriminator", "train/penalty", "train/discriminator_gradient_norm"}
"""What Lightning shows until it is replaced; a resumed run has nothing to show before the first."""
