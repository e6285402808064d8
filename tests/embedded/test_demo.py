"""The demonstration itself, as `make demo` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "haproxy_voip", "demo"]
PATIENCE = 60  # seconds


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a short name: the control socket's is limited."""
    return tmp_path_factory.mktemp("d")


def run_demo(folder: Path, *, signal_at: str = "") -> tuple[int, str]:
    """Exit status and output; SIGTERM is sent once this text was printed."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if signal_at and signal_at in line:
                process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE), "".join(lines)


def nothing_is_left(folder: Path) -> bool:
    """No file, and no process whose command line names the folder."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return not list(folder.iterdir()) and not any(str(folder).encode() in command for command in commands)


def test_two_servers_are_killed_and_calls_go_on(folder: Path) -> None:
    status, output = run_demo(folder)
    assert status == 0, output
    assert "alpha -> beta" in output and "beta -> charlie" in output and "692 ms" in output
    assert "none lost, none doubled" in output
    assert nothing_is_left(folder)


def test_ending_it_early_leaves_nothing_running(folder: Path) -> None:
    status, output = run_demo(folder, signal_at="kill -9 alpha")
    assert status == 130, output
    assert nothing_is_left(folder)
