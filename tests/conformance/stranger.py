"""The proxy as a process, and a stranger on a socket beside it who sends it one datagram after the other."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haproxy_voip.core.address import Address, bracketed
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Response, parse
from tests.conformance.rfc4475.verdicts import Verdict

START_SECONDS = 20.0
ANSWER_SECONDS = 5.0
DATAGRAM = 65_535

# Asked after each message: its answer shows that the proxy lives, and that no answer to the message is still to come.
OPTIONS = (
    "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {1};branch=z9hG4bK-{2};rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:probe@example.com>;tag={2}\r\nTo: <sip:{0}>\r\nCall-ID: probe-{2}\r\nCSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)


class Stranger:
    """Asks the proxy, and reads what it answers."""

    def __init__(self, sock: socket.socket, proxy: Address) -> None:
        self._sock = sock
        self._proxy = proxy
        self._own = Address(*sock.getsockname()[:2])

    def await_start(self) -> None:
        self._sock.settimeout(0.1)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self._ask("start")
            try:
                if self._sock.recv(DATAGRAM):
                    break
            except (TimeoutError, ConnectionRefusedError):
                continue
        else:
            raise AssertionError("the proxy does not answer")
        self._sock.settimeout(ANSWER_SECONDS)

    def answers(self, verdict: Verdict) -> list[int]:
        """The final statuses that come for this message, until the OPTIONS sent after it is answered."""
        self._sock.sendto(verdict.data, self._proxy)
        self._ask(verdict.name)
        found = []
        while True:
            data = self._sock.recv(DATAGRAM)
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

    def _ask(self, name: str) -> None:
        asked = OPTIONS.format(bracketed(self._proxy.host), self._own, name)
        self._sock.sendto(asked.encode(), self._proxy)


@contextmanager
def stranger_beside(folder: Path, proxy: Address, stranger: Address, *more: Address) -> Iterator[Stranger]:
    """A proxy of example.com that listens here, and at `more`; its backend, which is down, is over IPv4."""
    (folder / "users.yaml").write_text('realm: example.com\nusers:\n  "1001": {password: secret}\n')
    listen = ", ".join(f"'udp:{address}'" for address in (proxy, *more))
    (folder / "proxy.yaml").write_text(
        f"proxy: {{domain: example.com, sip: {{listen: [{listen}]}}}}\nusers: users.yaml\n"
        "backends: {alpha: {sip: 'udp:127.0.0.80:5060'}}\ncontrol: control\nlog: {level: warning}\n"
        "media: {relay: userspace}\n"  # it is killed at the end, and the kernel would go on
    )
    process = subprocess.Popen([sys.executable, "-m", "haproxy_voip", "run", "-c", str(folder / "proxy.yaml")])
    try:
        with socket.socket(socket.AF_INET6 if proxy.family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(stranger)
            asking = Stranger(sock, proxy)
            asking.await_start()
            yield asking
        assert process.poll() is None, "the proxy died"
    finally:
        process.kill()
        process.wait()
