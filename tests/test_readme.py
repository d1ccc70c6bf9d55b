"""The commands of the README and of docs/ compose: each key, choice and value in them exists."""

import re
import shlex
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


def commands() -> list[tuple[str, list[str]]]:
    """(entry point, overrides) of every `python -m generatect.…` in the blocks, shell variables put in."""
    found, variables = [], {}
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", pages, re.DOTALL))
    for line in re.sub(r"\\\n\s*", "", blocks).splitlines():
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        if match := re.match(r'(\w+)="(.*)"$', line):
            variables[match[1]] = match[2]
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
