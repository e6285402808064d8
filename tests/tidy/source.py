"""The project's files, as the tidy tests see them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "haproxy_voip"
# Folders that hold what was written here; caches, the environment and build results do not.
WRITTEN = ("haproxy_voip", "tests", "benchmarks", "backends", "config", "docs", ".ci")


def modules(*folders: str) -> list[Path]:
    """Every Python file below these folders, in order."""
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


def pages() -> list[Path]:
    """Every Markdown page."""
    below = [path for folder in WRITTEN for path in (ROOT / folder).rglob("*.md")]
    return sorted(ROOT.glob("*.md")) + sorted(below)


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, `from a import b` as `a.b`."""
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}") for alias in node.names)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(syntax(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
