"""What a constructor of ours asks for, read from its source without importing it.

Importing torch and Lightning takes seconds; a mistake on the command line is answered before. What only an import can
tell, types of other packages among them, is left to the check that follows it.
"""

import ast
from pathlib import Path
from typing import Any, Literal

PACKAGE = Path(__file__).resolve().parents[1]
_KNOWN = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "tuple": tuple, "dict": dict}
_NAMES: dict[str, Any] = {**_KNOWN, "Any": Any, "Literal": Literal, "__builtins__": {}}


def hints_in_source(target: str) -> dict[str, Any] | None:
    """Arguments of `generatect.PACKAGE.MODULE.NAME` with their annotations; `Any` where one names other types.

    None where the source does not tell all arguments: those of a class of another package, or any keyword.
    """
    first, *inside, name = target.split(".")
    path = PACKAGE.joinpath(*inside).with_suffix(".py")
    if first != PACKAGE.name or not path.is_file():
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = _named(tree, name)
    if isinstance(node, ast.ClassDef):
        constructor = _named(node, "__init__")
        if constructor is None:
            return _inherited(tree, node)
        node = constructor
    if not isinstance(node, ast.FunctionDef) or node.args.kwarg is not None:
        return None
    arguments = [argument for argument in [*node.args.args, *node.args.kwonlyargs] if argument.arg != "self"]
    return {argument.arg: _evaluated(argument.annotation) for argument in arguments}


def _inherited(tree: ast.Module, node: ast.ClassDef) -> dict[str, Any] | None:
    """The arguments of the only base, where that is another class of ours."""
    homes = {
        alias.asname or alias.name: f"{found.module}.{alias.name}"
        for found in tree.body
        if isinstance(found, ast.ImportFrom)
        for alias in found.names
    }
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return hints_in_source(homes.get(bases[0], "")) if len(bases) == len(node.bases) == 1 else None


def _named(node: ast.Module | ast.ClassDef, name: str) -> ast.AST | None:
    return next((child for child in node.body if getattr(child, "name", None) == name), None)


def _evaluated(annotation: ast.expr | None) -> Any:
    """The annotation as an object, if it is made of Python's own types alone; otherwise `Any`."""
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else set()
    kinds = (ast.Name, ast.Constant, ast.Subscript, ast.BinOp, ast.BitOr, ast.Tuple, ast.Load)
    if annotation is None or not names <= _NAMES.keys() or not all(isinstance(n, kinds) for n in ast.walk(annotation)):
        return Any
    return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), dict(_NAMES))
