"""The package as others get it: built, installed elsewhere, run from an empty folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1e6

# Composes a training and generates with the shipped weights, in one process, for imports take most of the time.
SCRIPT = """
import sys
from pathlib import Path
import generatect
from generatect.config.command import run_command
from generatect.generate import generate
from generatect.train import train

print(Path(generatect.__file__).parent)
sys.argv = ["train", "experiments=phantom/superres", "--cfg", "job"]
run_command("train", train)
quick = ["tokens.steps=2", "upscale.steps=1", "device=cpu"]
sys.argv = ["generate", "prompt=Large right pleural effusion, no nodule.", *quick]
run_command("generate", generate)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_configuration_recipes_and_weights(wheel):
    sizes = {entry.filename: entry.file_size for entry in zipfile.ZipFile(wheel).infolist()}
    for path in [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "experiments").rglob("*.yaml")]:
        assert f"generatect/{path.relative_to(ROOT).as_posix()}" in sizes
    for path in (ROOT / "generatect").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in sizes
    weights = [f"generatect/weights/phantom/{stage}.safetensors" for stage in ("ctvit", "transformer", "superres")]
    assert set(weights) <= sizes.keys()
    assert sum(sizes[name] for name in weights) <= 10 * MEGABYTE
    assert not [name for name in sizes if name.startswith(("tests/", "conf/", "outputs/"))]


def test_it_runs_from_an_empty_folder(wheel, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"]
    install += ["--target", str(installed), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    environment = {**os.environ, "PYTHONPATH": str(installed), "GENERATECT_CACHE": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=empty, env=environment, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == str(installed / "generatect")
    assert "generatect.stages.superres.SuperResStage" in run.stdout
    outputs = empty / "outputs" / "generated"
    assert {path.name for path in outputs.iterdir()} == {"generated.nii.gz", "generated.json", "generated.png"}
    assert "phantom" in json.loads((outputs / "generated.json").read_text())["notice"].lower()
    assert [path.name for path in empty.iterdir()] == ["outputs"]
