"""What every test may use: recordings of the released models, real CT, and the measure of agreement."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

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


@pytest.fixture(autouse=True)
def _one_thread():
    """Two test processes on two cores do not fight for them."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
