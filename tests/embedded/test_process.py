"""What keeps an embedded server from running is said in one line, and nothing is left."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from haproxy_voip.embedded import chat_process, pbx_server
from haproxy_voip.embedded.process import CANNOT_RUN

Main = Callable[[list[str]], int]
SERVERS = pytest.mark.parametrize(("main", "name"), [(pbx_server.main, "--realm"), (chat_process.main, "--domain")])


@SERVERS
@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"1001": 5}'])
def test_passwords_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], main: Main, name: str, text: str | None
) -> None:
    path = tmp_path / "passwords.json"
    if text is not None:
        path.write_text(text)
    assert main(["--listen", "tcp:127.0.0.1:5060", name, "test.example", "--passwords", str(path)]) == CANNOT_RUN
    assert "passwords.json" in capsys.readouterr().err


@SERVERS
def test_an_address_that_is_taken_is_named(
    passwords_file: Path, capsys: pytest.CaptureFixture[str], main: Main, name: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ["--listen", f"tcp:{place}", name, "test.example", "--passwords", str(passwords_file)]
        assert main(arguments) == CANNOT_RUN
    assert place in capsys.readouterr().err


@SERVERS
def test_an_endpoint_nobody_can_read_is_a_wrong_command_line(passwords_file: Path, main: Main, name: str) -> None:
    with pytest.raises(SystemExit):
        main(["--listen", "nonsense", name, "test.example", "--passwords", str(passwords_file)])
