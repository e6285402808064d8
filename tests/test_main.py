from __future__ import annotations

import os
import subprocess
import sys

import pytest

from haproxy_voip import __version__
from haproxy_voip.__main__ import main


def test_a_command_line_that_is_wrong_is_refused(capsys):
    for wrong in ([], ["nonsense"], ["drain"], ["status", "--control", "x", "-c", "y"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0 and "exit status:" in capsys.readouterr().out


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"haproxy-voip {__version__}\n"


def test_a_failure_is_told_on_standard_error(capsys, tmp_path):
    assert main(["check", str(tmp_path / "nowhere.yaml")]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "nowhere.yaml" in said.err


def test_whoever_stops_reading_the_output_is_no_mistake(tmp_path):
    users = tmp_path / "users.yaml"
    users.write_text("realm: x\nusers:\n  a: {password: b}\n")
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "haproxy_voip", "users", "list", "--users", str(users)],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
