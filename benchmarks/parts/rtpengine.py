"""Debian's rtpengine in userspace, told what to relay over its ng protocol: cookie and bencoded dictionary in UDP."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .processes import running, wait_bound
from .rtp_load import Place, Session, Way

PROGRAM = "rtpengine"
HOST, CONTROL_PORT = "127.0.72.4", 2223
PORTS = (10_000, 29_999)  # four for each session
# The protocol is made for asking again: an answer that was given is given again.
TRIES, TRY_SECONDS = 10, 0.5
# For three seconds after its first packet it looks for better sources of a stream, with locks of its own.
LEARNING_SECONDS = 6.0
ANSWER_BYTES = 65_535

# Table -1: it never asks for its kernel module. The rest are addresses and quiet; everything else is as Debian has it.
ARGV = (
    PROGRAM,
    "--config-file=none",
    "--table=-1",
    "--foreground",
    "--log-stderr",
    "--log-level=4",
    f"--interface={HOST}",
    f"--listen-ng={HOST}:{CONTROL_PORT}",
    f"--port-min={PORTS[0]}",
    f"--port-max={PORTS[1]}",
)

SDP = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"

Bencoded = int | str | list["Bencoded"] | dict[str, "Bencoded"]


class Refused(Exception):
    """What rtpengine had against it."""


def installed() -> bool:
    """Whether Debian's package rtpengine-daemon is there."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def rtpengine(folder: Path, sessions: list[Session]) -> Iterator[tuple[int, list[Way]]]:
    """Its process and where the sessions are to send to, until the block ends."""
    with engine(folder) as process, Control() as control:
        ways = [control.session(f"call-{number}", session) for number, session in enumerate(sessions)]
        yield process.pid, ways


@contextmanager
def engine(folder: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which can be asked, until the block ends; `more` are arguments."""
    log = folder / "rtpengine.log"
    with running((*ARGV, *more), log) as process:
        wait_bound(HOST, CONTROL_PORT, process, log)
        yield process


class Control:
    """Asks one thing at a time."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(TRY_SECONDS)
        self._socket.connect((HOST, CONTROL_PORT))
        self._asked = 0

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def session(self, call: str, session: Session) -> Way:
        """An offer from the phone, and its server's answer. What either is told is where it sends to."""
        about: dict[str, Bencoded] = {"call-id": call, "from-tag": "phone", "ICE": "remove", "DTLS": "off"}
        offer = {**about, "command": "offer", "sdp": SDP.format(*session.phone)}
        told_to_server = place_in(self.ask(offer))
        answer = {**about, "command": "answer", "to-tag": "server", "sdp": SDP.format(*session.server)}
        return Way(from_phone=place_in(self.ask(answer)), from_server=told_to_server)

    def ask(self, command: Mapping[str, Bencoded]) -> dict[str, Bencoded]:
        """One command. Raises Refused."""
        self._asked += 1
        cookie = f"{self._asked}".encode()
        for _ in range(TRIES):
            self._socket.send(cookie + b" " + encode(dict(command)))
            with contextlib.suppress(TimeoutError):
                answer, _ = decode(self._answer(cookie))
                break
        else:
            raise SystemExit("rtpengine does not answer")
        if not isinstance(answer, dict) or answer.get("result") != "ok":
            raise Refused(str(answer))
        return answer

    def _answer(self, cookie: bytes) -> bytes:
        while True:
            came, _, body = self._socket.recv(ANSWER_BYTES).partition(b" ")
            if came == cookie:
                return body


def place_in(answer: Mapping[str, Bencoded]) -> Place:
    """Where the SDP says that audio is expected."""
    sdp = str(answer["sdp"])
    host, port = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE), re.search(r"^m=audio (\d+)", sdp, re.MULTILINE)
    if host is None or port is None:
        raise Refused(f"no place for audio in {sdp!r}")
    return host[1], int(port[1])


def encode(value: Bencoded) -> bytes:
    """As BEP 3 has it."""
    match value:
        case int():
            return f"i{value}e".encode()
        case str():
            data = value.encode()
            return f"{len(data)}:".encode() + data
        case list():
            return b"l" + b"".join(encode(item) for item in value) + b"e"
        case dict():
            return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(data: bytes, at: int = 0) -> tuple[Bencoded, int]:
    """A value and where it ends. Raises ValueError and IndexError."""
    match data[at : at + 1]:
        case b"i":
            end = data.index(b"e", at)
            return int(data[at + 1 : end]), end + 1
        case b"l":
            items, at = _items(data, at + 1)
            return items, at
        case b"d":
            items, at = _items(data, at + 1)
            return {str(key): value for key, value in zip(items[::2], items[1::2], strict=True)}, at
        case _:
            colon = data.index(b":", at)
            end = colon + 1 + int(data[at:colon])
            return data[colon + 1 : end].decode(), end


def _items(data: bytes, at: int) -> tuple[list[Bencoded], int]:
    items: list[Bencoded] = []
    while data[at : at + 1] != b"e":
        item, at = decode(data, at)
        items.append(item)
    return items, at + 1
