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
from safetensors import safe_open
from torch import Tensor

from generatect.config.command import run_command

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@dataclass(frozen=True)
class Recording:
    """One file of recorded behaviour: the configuration it was made with and its tensors."""

    config: dict
    tensors: dict[str, Tensor]

    def state(self, prefix: str = "state.") -> dict[str, Tensor]:
        """Tensors under `prefix`, with the prefix removed."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Folder of recordings: `GENERATECT_FIXTURES`, or `../shared/fixtures`."""
    folder = Path(os.environ.get("GENERATECT_FIXTURES", SHARED / "fixtures"))
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder} (set GENERATECT_FIXTURES)")
    return folder


@pytest.fixture(scope="session")
def load_recording(fixtures_dir: Path):
    """Function that loads `released/NAME.safetensors`."""

    def load(name: str) -> Recording:
        with safe_open(fixtures_dir / "released" / f"{name}.safetensors", framework="pt") as file:
            config = json.loads((file.metadata() or {}).get("config", "{}"))
            return Recording(config, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118

    return load


@pytest.fixture(scope="session")
def real_ct_dir() -> Path:
    """Folder of real CT and reports, `../shared/real_ct`."""
    folder = SHARED / "real_ct"
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder}")
    return folder


@pytest.fixture(scope="session")
def assert_relative():
    """Function asserting max|actual - expected| / max|expected| ≤ tolerance."""

    def check(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
        assert actual.shape == expected.shape
        deviation = (actual.double() - expected.double()).abs().max() / expected.double().abs().max().clamp(min=1e-30)
        assert deviation <= tolerance, f"relative deviation {deviation:.2e} > {tolerance:.0e}"

    return check


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
