"""`make test` fails when a test is skipped: a missing server must not look like a passed test."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REFUSED
from tests.tidy.source import ROOT

SKIPPING = "import pytest\n\ndef test_one():\n    pytest.skip('no server here')\n\ndef test_other():\n    pass\n"


def outcome(folder: Path, *options: str, reason: str = "no server here") -> tuple[int, str]:
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (folder / "test_it.py").write_text(SKIPPING.replace("no server here", reason))
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"]
    ended = subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_test_fails_the_run(tmp_path: Path, workers: str) -> None:
    status, said = outcome(tmp_path, "--no-skips", "-n", workers)
    assert status == 1 and "1 skipped, and none may be" in said


@pytest.mark.parametrize("workers", ["0", "1"])
def test_only_a_kernel_that_refuses_bpf_is_no_mistake_and_is_told_of(tmp_path: Path, workers: str) -> None:
    status, said = outcome(tmp_path, "--no-skips", "-n", workers, "-rs", reason=f"{REFUSED}: Operation not permitted")
    assert status == 0 and "refuses bpf(2): Operation not permitted" in said


def test_all_that_make_runs_is_run_with_it() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    runs = [line for line in lines if "-m pytest" in line]
    assert "SKIPS ?= --no-skips" in lines
    assert runs and all("$(SKIPS)" in line for line in runs)
