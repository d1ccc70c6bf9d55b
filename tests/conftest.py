"""What every test may use: recordings of the released models, real CT, the measure of agreement, the commands."""

import contextlib
import importlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor

from generatect.config.command import run_command
from tests.parity import Parity
from tests.recordings import Expected, Recording, read_recording, recordings_folder

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """Adds the plugin that marks the tests of recordings and prints what they compared."""
    config.pluginmanager.register(Parity(config), "parity")


@pytest.fixture(scope="session")
def parity(pytestconfig: pytest.Config) -> Parity:
    """What this run has compared with recordings."""
    return pytestconfig.pluginmanager.get_plugin("parity")


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Folder of recordings: `GENERATECT_FIXTURES`, or `../shared/fixtures`."""
    folder = recordings_folder()
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (set GENERATECT_FIXTURES)")
    return folder


@pytest.fixture(scope="session")
def load_recording(fixtures_dir: Path) -> Callable[[str], Recording]:
    """Function that loads `released/NAME.safetensors`, or "preprocessing"."""
    return read_recording


@pytest.fixture(scope="session")
def published_layout(fixtures_dir: Path) -> dict:
    """Keys, shapes and dtypes of the three published files."""
    path = fixtures_dir.parent / "spec" / "released_checkpoint_layout.json"
    if not path.is_file():
        pytest.skip(f"no layout of the published files at {path}")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def assert_relative(parity: Parity) -> Callable[..., None]:
    """Function asserting max|actual - expected| / max|expected| ≤ tolerance; see `Parity.assert_relative`."""
    return parity.assert_relative


@pytest.fixture(scope="session")
def assert_identical(parity: Parity) -> Callable[[Tensor, Expected], None]:
    """Function asserting that every element is as recorded."""
    return parity.assert_identical


@pytest.fixture(scope="session")
def record_effect(parity: Parity) -> Callable[[str, str, str], None]:
    """Function that keeps what mending a quirk changes: `record_effect(what, measure, value)`."""
    return parity.record_effect


@pytest.fixture(scope="session")
def real_ct_dir() -> Path:
    """Folder of real CT and reports, `../shared/real_ct`."""
    folder = SHARED / "real_ct"
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder}")
    return folder


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def command(tmp_path_factory) -> Callable[..., Ended]:
    """Function that runs `python -m generatect.NAME OVERRIDES` in this process, from an empty folder."""

    def run(name: str, *overrides: str) -> Ended:
        function = getattr(importlib.import_module(f"generatect.{name}"), name)
        GlobalHydra.instance().clear()
        out, err, code, argv = io.StringIO(), io.StringIO(), 0, sys.argv
        sys.argv = [name, *overrides]
        try:
            with (
                contextlib.chdir(tmp_path_factory.mktemp("cwd")),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                run_command(name, function)
        except SystemExit as end:
            code = end.code
        finally:
            sys.argv = argv
        return Ended(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def train_tiny(command, tmp_path_factory) -> Callable[..., Path]:
    """Function that trains a stage of the smallest model on phantoms, and returns its output folder."""
    cache = tmp_path_factory.mktemp("cache")

    def train(stage: str, *overrides: str, output: Path | None = None) -> Path:
        output = output or tmp_path_factory.mktemp(stage)
        small = ("model=tiny", "data.pairs.num=20", "steps=4", "val_every=2", "stage.datamodule.batch_size=2")
        quick = ("text_encoder.encoder.num_buckets=64", "trainer.accelerator=cpu", f"cache_dir={cache}")
        ended = command("train", f"stage={stage}", *small, *quick, f"output={output}", *overrides)
        assert ended.code == 0, ended.err
        return output

    return train


@pytest.fixture(scope="session")
def tiny_weights(train_tiny, tmp_path_factory) -> Path:
    """Folder with all three stages, trained in turn for four steps."""
    folder = tmp_path_factory.mktemp("weights")
    for stage in ("ctvit", "transformer", "superres"):
        earlier = () if stage == "ctvit" else (f"tokenizer={folder / 'ctvit.safetensors'}",)
        output = train_tiny(stage, "callbacks.ema.every=1", "callbacks.ema.start=0", *earlier)
        for suffix in (".safetensors", ".ckpt"):
            name = stage if suffix == ".safetensors" else "last"
            shutil.copy(output / f"{name}{suffix}", folder / f"{stage}{suffix}")
    return folder


@pytest.fixture(autouse=True)
def _one_thread():
    """Two test processes on two cores do not fight for them."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
