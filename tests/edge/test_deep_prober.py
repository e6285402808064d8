"""The process that logs in and pings, at the embedded chat server and at what is none."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haproxy_voip.embedded.children import Child
from haproxy_voip.embedded.process import LISTENING

DOMAIN = "chat.example"
PATIENCE = 30.0  # for another process on a busy machine


@pytest.fixture(scope="module")
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[int]:
    """A chat server's port; `probe` has the password `right`."""
    passwords: Path = tmp_path_factory.mktemp("server") / "passwords.json"
    passwords.write_text('{"probe": "right"}')
    command = [sys.executable, "-m", "haproxy_voip.embedded.chat_process", "--domain", DOMAIN]
    child = Child("chat", [*command, "--passwords", str(passwords), "--listen", f"tcp:127.0.0.1:{free_port}"])
    until = time.monotonic() + PATIENCE
    while LISTENING not in child.last_words() and time.monotonic() < until:
        time.sleep(0.01)
    yield free_port
    child.end()


def asked(number: int, port: int, **changes: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "backend": "alpha", "number": number, "jid": f"probe@{DOMAIN}", "password": "right", "host": "127.0.0.1",
        "port": port, "tls": "never", "verify": True, "ca": None, "name": DOMAIN, "timeout": PATIENCE,
    }  # fmt: skip
    return plain | changes


def answers(*questions: dict[str, object]) -> dict[int, str | None]:
    """By number. The process ends when it has no more to read, so that is closed last."""
    with subprocess.Popen(
        [sys.executable, "-m", "haproxy_voip.edge.deep_prober"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        for question in questions:
            process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        told = [json.loads(process.stdout.readline()) for _ in questions]
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == ""
    assert all(one["backend"] == "alpha" for one in told)
    return {one["number"]: one["failure"] for one in told}


def test_what_came_of_each_is_told(server: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        told = answers(
            asked(1, server),
            asked(2, server, password="wrong"),
            asked(3, nobody.getsockname()[1]),
            asked(4, silent.getsockname()[1], timeout=0.5),
            asked(5, server, tls="required"),
            asked(6, server, jid="probe@elsewhere.example"),
            asked(7, server, ca="/nowhere.pem"),
        )
    assert told[1] is None
    assert told[2] is not None and told[2].startswith("login refused: not-authorized")
    assert told[3] is not None and told[3].startswith("no connection: ")
    assert told[4] == "no answer within 0.5 s while opening a stream"
    assert told[5] == "login refused: nothing it offers can be used"
    assert told[6] == "stream error: host-unknown"
    assert told[7] is not None and "No such file" in told[7]
