"""SIP messages out of a stream: the framer, fed in pieces. The first two bytes say how the rest is cut.

1. Nothing is raised, and the cuts change nothing of what comes out.
2. What is held between two pieces is bounded; once broken nothing is held and nothing comes out.
3. A message that comes out is the one that would have been read from a datagram.
"""

from __future__ import annotations

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import MAX_BODY_BYTES, MAX_HEAD_BYTES, Keepalive, StreamFramer
from haproxy_voip.sip.message import Message, parse

Told = tuple[str, ...]


def check(data: bytes) -> None:
    first, second, stream = *data[:2].ljust(2, b"\0"), data[2:]
    pieces = [stream[: first * 4], *cut(stream[first * 4 :], 1 + second * 8)]
    whole, cut_up = played([stream]), played(pieces)
    # Runs of CRLF are pings and pongs by where they are cut: a pong may yet turn out half a ping.
    assert without_keepalives(whole) == without_keepalives(cut_up)


def cut(data: bytes, size: int) -> list[bytes]:
    size = max(size, len(data) // 64)  # no more than so many pieces
    return [data[at : at + size] for at in range(0, len(data), size)]


def played(pieces: list[bytes]) -> list[Told]:
    framer, told = StreamFramer(), []
    for piece in pieces:
        broken = framer.broken
        items = framer.feed(piece)
        assert not (broken and items)
        told += [describe(item) for item in items]
        held = len(framer._buffer)
        assert held <= max(MAX_HEAD_BYTES, MAX_BODY_BYTES) and not (framer.broken and held)
    return told


def describe(item: object) -> Told:
    if isinstance(item, Message):
        written = item.encode()
        assert parse(written).encode() == written
        return "message", repr(written)
    if isinstance(item, MessageError):
        return "error", str(item.status), item.reason
    assert isinstance(item, Keepalive)
    return "keepalive", item.name


def without_keepalives(told: list[Told]) -> list[Told]:
    return [one for one in told if one[0] != "keepalive"]
