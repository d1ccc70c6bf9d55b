"""The arrows between the packages, read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "generatect"
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
COMMANDS = (
    "train search generate upscale reconstruct prove export convert doctor evaluate prepare import_dicom shard serve "
)
COMMANDS += "render prompts reproduce utility audit phantom.__main__"
ENTRY_POINTS = {f"generatect.{name}" for name in COMMANDS.split()}
SCIENCE = {"torch", "numpy", "einops", "jaxtyping", "scipy"}
# Package → what it may import beside the standard library: third-party packages, and packages of our own.
ALLOWED = {
    "ct": (SCIENCE | {"nibabel", "PIL", "isal", "pydicom"}, {"ct", "errors", "files"}),
    "networks": (SCIENCE | {"safetensors", "monai"}, {"networks", "errors"}),
    "objectives": (SCIENCE, {"objectives", "diffusion", "errors"}),
    "diffusion": (SCIENCE, {"diffusion", "errors"}),
    "sampling": (SCIENCE, {"sampling", "diffusion", "objectives", "errors"}),
    "planning": (SCIENCE, {"planning", "sampling", "errors"}),
    "metrics": (SCIENCE | {"torchmetrics"}, {"metrics", "errors"}),
    "phantom": (SCIENCE | {"rich"}, None),
    "text": (SCIENCE | {"transformers", "safetensors"}, {"text", "errors", "files", "config", "hub_access"}),
}
NEVER_BELOW = {  # package → packages of our own it must not reach
    "data": {"stages", "callbacks", "objectives", "sampling"},
    "ct": {"data", "networks", "stages"},
    "checkpoints": {"stages", "data", "callbacks"},
    "callbacks": {"stages", "data"},
    "phantom": {"stages", "callbacks"},
    "web": {"stages", "callbacks", "objectives"},
    "evaluation": {"stages", "callbacks"},
    "synthesis": {"stages", "callbacks", "objectives"},
    "privacy": {"stages", "callbacks", "objectives", "synthesis"},
}


def imports(path: Path, only_at_load: bool = False) -> Iterator[str]:
    """Absolute names of everything a file imports; `from package import module` gives "package.module"."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _outside_functions(tree) if only_at_load else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _outside_functions(child)


def own_module(name: str) -> str:
    """The module of ours that an imported name lives in."""
    return name if name in MODULES else name.rpartition(".")[0]


def of_package(package: str) -> list[tuple[str, str]]:
    """(module, imported name) of a whole package."""
    inside = [(name, path) for name, path in MODULES.items() if name.startswith(f"generatect.{package}")]
    assert inside, package
    return [(name, imported) for name, path in inside for imported in imports(path)]


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_it_may(package):
    third_party, own = ALLOWED[package]
    for module, name in of_package(package):
        top, *rest = name.split(".")
        if module in ENTRY_POINTS or top in sys.stdlib_module_names:
            continue
        if top != "generatect":
            assert top in third_party, f"{module} imports {name}"
        elif own is not None:
            assert rest[0] in own, f"{module} imports {name}"


@pytest.mark.parametrize("package", NEVER_BELOW)
def test_arrows_point_one_way(package):
    for module, name in of_package(package):
        if name.startswith("generatect.") and module not in ENTRY_POINTS:
            assert name.split(".")[1] not in NEVER_BELOW[package], f"{module} imports {name}"


def test_nothing_imports_an_entry_point():
    for module, path in MODULES.items():
        for name in imports(path):
            assert own_module(name) not in ENTRY_POINTS, f"{module} imports {name}"


def test_no_import_cycles():
    graph = {
        module: {own_module(name) for name in imports(path, only_at_load=True) if name.startswith("generatect")}
        for module, path in MODULES.items()
    }
    graph = {module: {name for name in names if name in MODULES and name != module} for module, names in graph.items()}
    finished: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail[trail.index(module) :], module))
        if module not in finished:
            for name in graph[module]:
                visit(name, (*trail, module))
            finished.add(module)

    for module in MODULES:
        visit(module, ())


def test_no_module_without_a_subject():
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "tools"}


def test_type_hints_that_tests_enforce_are_evaluated():
    """A file whose annotations are strings would pass every shape check."""
    for module, path in MODULES.items():
        source = path.read_text(encoding="utf-8")
        assert not ("jaxtyping" in source and "from __future__ import annotations" in source), module
