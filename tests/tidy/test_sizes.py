"""Sizes that still fit into a head."""

import ast
from pathlib import Path

import pytest

from tests.tidy.source import ROOT, functions, modules

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 7

ALL = modules("haproxy_voip", "tests", "benchmarks")


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [argument.arg for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    return len([name for name in names if name not in ("self", "cls")])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in ALL}
    assert {name: length for name, length in lengths.items() if length > FILE_LINES} == {}


@pytest.mark.parametrize("folder", ["haproxy_voip", "tests", "benchmarks"])
def test_no_function_is_longer_than_a_screen(folder: str) -> None:
    long = [
        f"{name_of(path)}:{function.lineno} {function.name}: {function.end_lineno - function.lineno + 1} lines"
        for path in modules(folder)
        for function in functions(path)
        if function.end_lineno is not None and function.end_lineno - function.lineno >= FUNCTION_LINES
    ]
    assert long == []


def test_no_function_takes_more_than_one_can_tell_apart() -> None:
    many = [
        f"{name_of(path)}:{function.lineno} {function.name}: {parameters(function)} parameters"
        for path in modules("haproxy_voip")
        for function in functions(path)
        if parameters(function) > PARAMETERS
    ]
    assert many == []
