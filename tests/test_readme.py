"""The commands of the README and of docs/ compose, and those of the README run, in the order in which they stand."""

import contextlib
import io
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from generatect.config.check import check_config
from generatect.config.resolvers import config_folder, register_resolvers
from generatect.config.words import as_it_stands
from generatect.search import as_own

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


NOT_RUN = {
    "pip install .": "installs into this environment; tests/test_wheel.py installs into one of its own",
    "experiments=base/": "published size: hours on a large GPU, and T5 from the Hub",
    "weights=outputs/base ": "the weights of that training",
    "weights=released": "the authors' weights, from the Hub",
    "source=ctvit_pretrained.pt": "the authors' weights, from the Hub",
    "outputs/released/": "the authors' weights, from the Hub",
    "push_to=": "sends to the Hub",
    "/data/heldout": "a real training set and patients held out from it",
    "generatect.serve": "serves until somebody interrupts it; tests/web",
}
"""Part of a command → why it is not run here."""
QUICK = ["model=tiny", "steps=2", "val_every=2", "stage.datamodule.batch_size=2", "trainer.accelerator=cpu"]
CUT = {
    "train": [*QUICK, "callbacks=[latest,scores]"],
    "search": [*QUICK, "trials=1"],
    "phantom": ["num=4"],
    "prompts": ["num=2"],
    "utility": [
        *("seeds=[0]", "steps=2", "sets=[real,synthetic]", "num_train=4", "num_test=8", "data.pairs.num=40"),
        *("resamples=100", "labels=[Cardiomegaly]", "stage.module.warmup_steps=0"),
    ],
    "evaluate": ["evaluation.resamples=100"],
}
"""Command → settings added to it, so that it takes seconds."""
OWN_PHANTOMS = "data.pairs.num=20"


def lines(text: str) -> list[str]:
    """What somebody would type of the blocks of a page, shell variables put in."""
    found, variables = [], {}
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    for line in re.sub(r"\\\n\s*", "", blocks).splitlines():
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        if match := re.match(r'(\w+)="(.*)"$', line):
            variables[match[1]] = match[2]
        elif line.strip() and not line.startswith("#"):
            found.append(line)
    return found


def commands() -> list[tuple[str, list[str]]]:
    """(entry point, overrides) of every `python -m generatect.…` in the blocks."""
    found = []
    for line in lines("\n".join(page.read_text(encoding="utf-8") for page in PAGES)):
        # The second command of `evaluate` has settings of its own.
        line = line.replace("generatect.evaluate table ", "generatect.evaluate_table ")
        if match := re.match(r"python -m generatect\.(\w+) (.*)$", line):
            found.append((match[1], [word for word in shlex.split(match[2]) if word != "-m"]))
    return found


@pytest.mark.parametrize(("name", "overrides"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_readme_command_composes(name, overrides):
    register_resolvers()
    GlobalHydra.instance().clear()
    if name == "search":
        overrides = as_own(overrides)
    single = [re.sub(r"=(?:range\()?([\w.]+),([\w.,]+)\)?$", r"=\1", item) for item in overrides]  # a sweep's first job
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        config = compose(name, overrides=[as_it_stands(override, {"prompt": str}) for override in single])
    assert not OmegaConf.missing_keys(config)
    check_config(OmegaConf.to_container(config, resolve=True))


def test_the_readme_has_commands():
    assert len(commands()) >= 10
    targets = re.findall(r"`make (\w+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_commands_of_the_readme_run_in_the_order_in_which_they_stand(tmp_path, monkeypatch):
    """As a newcomer types them, from an empty folder, with the phantom defaults; sizes are cut, nothing else is."""
    monkeypatch.setenv("GENERATECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", [])
    there = tmp_path / "newcomer"
    there.mkdir()
    monkeypatch.chdir(there)
    skipped, ran = set[str](), list[str]()
    for line in lines((ROOT / "README.md").read_text(encoding="utf-8")):
        reason = next((part for part in NOT_RUN if part in f"{line} "), None)
        if reason is not None:
            skipped.add(reason)
            continue
        program, flag, module, *words = shlex.split(line)
        assert (program, flag) == ("python", "-m"), line
        name = module.removeprefix("generatect.")
        cut = CUT.get(name, [])
        if name in ("train", "search") and not any(word.startswith("data=") for word in words):
            cut = [*cut, OWN_PHANTOMS]
        if name == "train" and any(word.startswith("data=") for word in words):
            cut = [*cut, "stage.datamodule.val_fraction=0.3"]
        code, said = run(module, [*words, *cut])
        assert code == 0, f"{line}\n{said}"
        for output in (word.removeprefix("output=") for word in words if word.startswith("output=")):
            assert Path(output).exists(), line
        ran.append(name)
    assert skipped == set(NOT_RUN)  # each reason is still one
    assert {
        "generate",
        "reconstruct",
        "train",
        "search",
        "doctor",
        "export",
        "reproduce",
        "utility",
        "evaluate",
    } <= set(ran)
    assert {path.name for path in there.iterdir()} == {"outputs"}, "a command wrote elsewhere"


def run(module: str, words: list[str]) -> tuple[int, str]:
    """Runs `python -m MODULE WORDS` in this process; returns its exit code and what it printed."""
    GlobalHydra.instance().clear()
    sys.argv = [module, *words]
    is_package = (ROOT / module.replace(".", "/")).is_dir()
    name = f"{module}.__main__" if is_package else module
    said, before = io.StringIO(), sys.modules.pop(name, None)  # another test's, which runpy would warn of
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0), said.getvalue()
    finally:
        sys.modules.update({name: before} if before else {})
    return 0, said.getvalue()
