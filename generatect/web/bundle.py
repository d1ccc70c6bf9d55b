"""The page's modules as one script, for a page without a server."""

import re
from pathlib import Path

SCRIPTS = Path(__file__).with_name("static") / "js"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "([^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (async function|function|class|const|let) (\w+)", re.MULTILINE)


def bundle(entry: Path) -> str:
    """The module and all that it imports, in the order in which they need each other.

    Each becomes a function of its own that returns what it exports, so that names do not meet. It knows the forms of
    import and export that the modules here use, and no others.
    """
    done: dict[Path, str] = {}
    parts: list[str] = []

    def add(path: Path) -> str:
        path = path.resolve()
        if path not in done:
            source = path.read_text(encoding="utf-8")
            for _, wanted in _IMPORT.findall(source):
                add(path.parent / wanted)
            name = f"module{len(done)}"
            done[path] = name
            body = _IMPORT.sub(lambda match: f"const {match[1]} = {done[(path.parent / match[2]).resolve()]};", source)
            exported = [match[1] for match in _EXPORT.findall(body)]
            body = _EXPORT.sub(r"\1 \2", body)
            left = re.search(r"^\s*(import|export)\b", body, re.MULTILINE)
            assert left is None, f"{path}: another form of import or export"
            parts.append(f"const {name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n")
        return done[path]

    add(entry)
    return "".join(parts)
