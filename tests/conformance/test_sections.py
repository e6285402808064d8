"""docs/CONFORMANCE.md and docs/SECURITY.md name tests that are there, for each section that has one and each threat."""

import ast
import re

import pytest

from tests.tidy.source import ROOT, functions, syntax

PAGE = (ROOT / "docs" / "CONFORMANCE.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
NAMED = sorted(set(TEST.findall(PAGE + SECURITY)))
BY_SECTION = ("test_rfc6120_chat.py", "test_rfc6121_presence.py", "test_xep0198.py")


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED}))
def test_every_test_that_is_named_is_there(path: str) -> None:
    there = {function.name for function in functions(ROOT / path)}
    assert [name for at, name in NAMED if at == path and name not in there] == []


@pytest.mark.parametrize("name", BY_SECTION)
def test_every_section_that_has_a_test_is_in_the_table(name: str) -> None:
    listed = set(re.findall(r"\d+(?:\.\d+)*", "".join(line.split("|")[1] for line in PAGE.splitlines() if "|" in line)))
    module = syntax(ROOT / "tests" / "conformance" / name)
    tests = [node.name for node in module.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert tests
    for test in tests:
        found = re.match(r"test_(\d+(?:_\d+)*)_", test)
        assert found is not None, f"{test} names no section"
        section = found[1].replace("_", ".")
        assert any(section == one or section.startswith(f"{one}.") or one.startswith(f"{section}.") for one in listed)


def test_every_threat_names_a_test_that_tries_it() -> None:
    rows = [line.split("|")[1:-1] for line in SECURITY.splitlines() if line.startswith("| ") and "tried by" not in line]
    assert len(rows) > 50
    assert [row[0] for row in rows if len(row) != 3 or not TEST.findall(row[2])] == []
