"""Every input of the corpus through its target: what atheris starts from and what it has found, tried without it."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from tests.tidy.source import ROOT

HERE = ROOT / "tests" / "fuzz"
TORTURE = sorted((ROOT / "tests" / "conformance").glob("rfc*/*.dat"))
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("*.py"))
BORROWED = {"sip": TORTURE, "sip_stream": TORTURE}


def check_of(target: str) -> Callable[[bytes], None]:
    check: Callable[[bytes], None] = importlib.import_module(f"tests.fuzz.targets.{target}").check
    return check


def inputs_of(target: str) -> list[bytes]:
    paths = sorted((HERE / "corpus" / target).glob("*.dat"))
    assert paths
    return [path.read_bytes() for path in (*paths, *BORROWED.get(target, []))]


def test_each_target_has_a_corpus_and_no_corpus_is_nobodys() -> None:
    assert sorted(path.name for path in (HERE / "corpus").iterdir()) == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_holds_what_the_target_promises(target: str) -> None:
    check = check_of(target)
    for data in inputs_of(target):
        check(data)


@pytest.mark.parametrize("target", TARGETS)
def test_and_so_does_all_that_is_cut_off(target: str) -> None:
    check = check_of(target)
    for data in inputs_of(target):
        for end in range(0, len(data), 1 + len(data) // 12):
            check(data[:end])
