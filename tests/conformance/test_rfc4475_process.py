"""RFC 4475 sent to the running proxy: all 49 messages as datagrams to the real process, from a stranger."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Response, parse
from tests.conformance.rfc4475.verdicts import VERDICTS, Verdict

PROXY = ("127.0.0.78", 5060)
STRANGER = ("127.0.0.79", 5060)
START_SECONDS = 20.0
ANSWER_SECONDS = 5.0
DATAGRAM = 65_535

# Asked after each message: its answer shows that the proxy lives, and that no answer to the message is still to come.
OPTIONS = (
    "OPTIONS sip:{0[0]} SIP/2.0\r\nVia: SIP/2.0/UDP {1[0]}:{1[1]};branch=z9hG4bK-{2};rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:probe@example.com>;tag={2}\r\nTo: <sip:{0[0]}>\r\nCall-ID: probe-{2}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    """A socket beside a proxy that runs."""
    folder: Path = tmp_path_factory.mktemp("torture")
    (folder / "users.yaml").write_text('realm: example.com\nusers:\n  "1001": {password: secret}\n')
    (folder / "proxy.yaml").write_text(
        f"proxy: {{domain: example.com, sip: {{listen: ['udp:{PROXY[0]}:{PROXY[1]}']}}}}\nusers: users.yaml\n"
        "backends: {alpha: {sip: 'udp:127.0.0.80:5060'}}\ncontrol: control\nlog: {level: warning}\n"
        "media: {relay: userspace}\n"  # it is killed at the end, and the kernel would go on
    )
    process = subprocess.Popen([sys.executable, "-m", "haproxy_voip", "run", "-c", str(folder / "proxy.yaml")])
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(STRANGER)
            await_start(sock)
            yield sock
        assert process.poll() is None, "the proxy died"
    finally:
        process.kill()
        process.wait()


def await_start(sock: socket.socket) -> None:
    sock.settimeout(0.1)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        sock.sendto(OPTIONS.format(PROXY, STRANGER, "start").encode(), PROXY)
        try:
            if sock.recv(DATAGRAM):
                break
        except (TimeoutError, ConnectionRefusedError):
            continue
    else:
        raise AssertionError("the proxy does not answer")
    sock.settimeout(ANSWER_SECONDS)


def answers(sock: socket.socket, verdict: Verdict) -> list[int]:
    """The final statuses that come for this message, until the OPTIONS sent after it is answered."""
    sock.sendto(verdict.data, PROXY)
    sock.sendto(OPTIONS.format(PROXY, STRANGER, verdict.name).encode(), PROXY)
    found = []
    while True:
        data = sock.recv(DATAGRAM)
        try:
            response = parse(data)
        except MessageError:
            # What cannot be read is copied into the answer as it came (8.2.6.2), and so cannot be read there.
            found.append(int(data.split(b" ", 2)[1]))
            continue
        if response.get("call-id") == f"probe-{verdict.name}":
            return found
        if isinstance(response, Response) and response.status >= 200:
            found.append(response.status)


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.name)
def test_the_running_proxy_answers_each_message_as_the_table_says_and_lives(
    stranger: socket.socket, verdict: Verdict
) -> None:
    wanted = [] if verdict.node_status is None else [verdict.node_status]
    assert sorted(set(answers(stranger, verdict))) == wanted
