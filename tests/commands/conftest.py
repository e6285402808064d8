"""A configuration that works and a way to ask the command line."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from haproxy_voip.__main__ import main

ADDRESS = "127.0.0.1"
Asked = Callable[..., tuple[int, str, str]]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((ADDRESS, 0))
        return int(bound.getsockname()[1])


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that works, in a folder with a short name: the control socket's is limited."""
    folder = tmp_path_factory.mktemp("p")
    (folder / "proxy.yaml").write_text(
        f"""\
proxy:
  domain: voip.example
  sip: {{listen: ["udp:{ADDRESS}:{free_port()}"]}}
users: users.yaml
backends:
  alpha: {{sip: "udp:{ADDRESS}:{free_port()}"}}
media: {{relay: userspace, ports: 20000-20099}}
control: {folder}/c.sock
"""
    )
    (folder / "users.yaml").write_text('realm: voip.example\nusers:\n  "1001": {password: secret}\n')
    return folder


@pytest.fixture
def config(folder: Path) -> str:
    """Its file name, as on a command line."""
    return str(folder / "proxy.yaml")


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    """Gives a command line to `main`: exit status, standard output, standard error."""

    def ask(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        said = capsys.readouterr()
        return status, said.out, said.err

    return ask


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder with a short name: the control socket's is limited."""
    return tmp_path_factory.mktemp("i")


@pytest.fixture
def flags(place: Path) -> tuple[str, ...]:
    """Ports that are free, and a control socket of our own."""
    ports = free_for_both(), free_for_both()
    return ("--port", str(ports[0]), "--chat-port", str(ports[1]), "--control", f"{place}/c.sock")


def free_for_both() -> int:
    """A port that nobody has, neither for UDP nor for TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return int(tcp.getsockname()[1])
