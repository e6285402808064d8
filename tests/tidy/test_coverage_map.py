"""Every module that does something has its own test file, at the same place below tests/."""

import ast
from pathlib import Path

from tests.tidy.source import PACKAGE, ROOT, modules, syntax

# Modules that others' tests cover. This list may only shrink: one that has its own tests, or is gone, must leave it.
EXCEPTIONS: set[str] = set()


def does_something(path: Path) -> bool:
    """Not only declarations: a function with a body, which a Protocol's has not."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _only_declared(node)
        for node in ast.walk(syntax(path))
    )


def _only_declared(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) for statement in function.body
    )


def own_test(path: Path) -> Path:
    """haproxy_voip/sip/uri.py: tests/sip/test_uri.py. A package's own code: tests/sip/test_sip.py."""
    inside = path.relative_to(PACKAGE)
    name = inside.parent.name if inside.name == "__init__.py" else inside.stem.strip("_")
    return ROOT / "tests" / inside.parent / f"test_{name}.py"


UNCOVERED = {
    path.relative_to(PACKAGE).as_posix()
    for path in modules("haproxy_voip")
    if does_something(path) and not own_test(path).exists()
}


def test_every_module_has_its_own_test_file() -> None:
    assert sorted(UNCOVERED - EXCEPTIONS) == []


def test_the_exceptions_only_shrink() -> None:
    assert sorted(EXCEPTIONS - UNCOVERED) == []
