"""What the pages mention is there: files, make targets, commands, modules, dependencies."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.source import ROOT, WRITTEN, pages

PAGES = pages()
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")
CODE = re.compile(r"`([^`\n]+)`")
# Only what begins like one of our folders is taken for a file name; a placeholder is none, nor is /run/haproxy_voip/x.
FILE = re.compile(rf"(?<![\w/-])(?:{'|'.join(map(re.escape, WRITTEN))})/[\w./-]+")
TARGET = re.compile(r"\bmake ([a-z]+)\b")
COMMAND = re.compile(r"\bhaproxy-voip ([a-z]+)\b")
MODULE = re.compile(r"\bpython3? -m (haproxy_voip[\w.]*)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> list[str]:
    """Everything set as code: between backticks, and the lines of fenced blocks."""
    outside, blocks = [], []
    for index, part in enumerate(text_of(page).split("```")):
        (blocks if index % 2 else outside).append(part)
    return [word for part in outside for word in CODE.findall(part)] + [
        line for block in blocks for line in block.splitlines()
    ]


def mentioned(pattern: re.Pattern[str]) -> set[str]:
    return {found for page in PAGES for code in code_of(page) for found in pattern.findall(code)}


def dependencies() -> list[str]:
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(name for extra in extras for name in extra)]
    return [re.split(r"[<>=~!\[; ]", name)[0] for name in wanted]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(text_of(page)) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_that_is_mentioned_is_there(page: Path) -> None:
    names = {name.rstrip("./") for code in code_of(page) for name in FILE.findall(code)}
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def test_every_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert mentioned(TARGET) <= targets


@pytest.mark.parametrize("command", sorted(mentioned(COMMAND)))
def test_every_command_that_is_mentioned_can_be_asked_for_help(command: str) -> None:
    asked = [sys.executable, "-m", "haproxy_voip", command, "--help"]
    assert subprocess.run(asked, capture_output=True, cwd=ROOT, timeout=30, check=False).returncode == 0


def test_every_module_that_is_mentioned_can_be_run() -> None:
    assert [name for name in sorted(mentioned(MODULE)) if importlib.util.find_spec(name) is None] == []


def test_every_dependency_is_accounted_for() -> None:
    page = text_of(ROOT / "docs" / "DEPENDENCIES.md")
    assert [name for name in dependencies() if f"| `{name}` |" not in page] == []


def test_no_dependency_is_accounted_for_that_is_none() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \|", text_of(ROOT / "docs" / "DEPENDENCIES.md"), re.MULTILINE)
    assert sorted(listed) == sorted(dependencies())
