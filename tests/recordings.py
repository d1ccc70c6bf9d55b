"""Recordings of the original's behaviour: one file each, the configuration it was made with and its tensors."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

# A part of the key says that the original computed it; among the schedules, its last part does.
COMPUTED = {"out", "mid", "grad"}
COMPUTED_OF_SCHEDULES = {"log_snr", "alpha", "sigma", "mean", "var", "logvar", "x0_from_v"}


def recordings_folder() -> Path:
    """Where recordings are looked for: `GENERATECT_FIXTURES`, or `shared/fixtures` beside the checkout."""
    return Path(os.environ.get("GENERATECT_FIXTURES", Path(__file__).parents[2] / "shared" / "fixtures")).resolve()


@dataclass(frozen=True, eq=False)
class Expected:
    """A value that the original computed, and where it is recorded."""

    recording: str
    key: str
    value: Tensor


@dataclass(frozen=True, eq=False)
class Recording:
    """One file: its name without the ending, the configuration it was made with, its tensors."""

    name: str
    config: dict
    tensors: dict[str, Tensor]

    def state(self, prefix: str = "state.") -> dict[str, Tensor]:
        """Tensors under `prefix`, with the prefix removed."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}

    def expected(self, key: str) -> Expected:
        """What the original computed under `key`, to be compared by `assert_relative` or `assert_identical`."""
        return Expected(self.name, key, self.tensors[key])

    def computed(self) -> list[str]:
        """Keys of all that the original computed: what tests have to compare. The others are inputs and weights."""
        if self.name == "preprocessing":
            return list(self.tensors)
        if self.name == "noise_schedules":
            return [key for key in self.tensors if key.split(".")[-1] in COMPUTED_OF_SCHEDULES]
        return [key for key in self.tensors if not COMPUTED.isdisjoint(key.split("."))]


def read_recording(name: str) -> Recording:
    """Reads `released/NAME.safetensors`; "preprocessing" is the folder of that name."""
    path = "preprocessing/expected" if name == "preprocessing" else f"released/{name}"
    with safe_open(recordings_folder() / f"{path}.safetensors", framework="pt") as file:
        config = json.loads((file.metadata() or {}).get("config", "{}"))
        return Recording(name, config, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118


def names_of_recordings() -> list[str]:
    """Names of all recordings in the folder."""
    released = [path.stem for path in sorted((recordings_folder() / "released").glob("*.safetensors"))]
    return [*released, *(["preprocessing"] if (recordings_folder() / "preprocessing").is_dir() else [])]
