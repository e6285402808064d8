"""SIP messages out of a byte stream (RFC 3261 sections 7.5 and 18.3, RFC 5626 section 4.4.1).

1. On a stream Content-Length is the only border there is: without it the stream cannot be read on.
2. A broken message whose length is known is reported and skipped; the stream lives on.
3. After anything else `broken` is true, and the stream is to be closed.
"""

from __future__ import annotations

import re
from enum import Enum

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, about, parse_head

MAX_HEAD_BYTES = 16_384  # a thousand bytes is usual; certificates and long routes make some reach several thousand
MAX_BODY_BYTES = 65_535  # no more than by UDP: what comes in by one transport may leave by the other

_END_OF_HEAD = b"\r\n\r\n"
_CRLFS = re.compile(rb"(?:\r\n)++")


class Keepalive(Enum):
    """What CRLFs between messages mean."""

    PING = b"\r\n\r\n"  # to be answered with the value of PONG
    PONG = b"\r\n"


Framed = Request | Response | MessageError | Keepalive


class StreamFramer:
    """Feed it what a stream delivers, in pieces of any size."""

    __slots__ = ("_buffer", "_pending", "_ping_begun", "_searched", "_wanted", "broken")

    def __init__(self) -> None:
        self.broken = False  # nothing more can be read; close the stream
        self._buffer = bytearray()
        self._searched = 0  # where to go on looking for the end of the headers
        self._pending: Request | Response | MessageError | None = None  # what waits for its body
        self._wanted = 0  # bytes of that body
        self._ping_begun = False  # one CRLF of a keep-alive has come

    @property
    def waits(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._pending is not None or len(self._buffer) > 0

    def feed(self, data: bytes) -> list[Framed]:
        """Everything that is complete now, in order. A MessageError is to be answered when it has a `partial`."""
        if not self.broken:
            self._buffer += data
        framed: list[Framed] = []
        while (item := self._next()) is not None:
            framed.append(item)
        return framed

    def _next(self) -> Framed | None:
        if self._pending is not None:
            return self._take_body(self._pending)
        if self._buffer[:1] == b"\r":
            return self._take_keepalive()
        end = self._buffer.find(_END_OF_HEAD, self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > MAX_HEAD_BYTES:
                return self._give_up(MessageError(f"no end of headers in {MAX_HEAD_BYTES} bytes", 513))
            return None
        return self._take_head(end)

    def _take_keepalive(self) -> Framed | None:
        """A run of CRLFs between messages: two are a ping, one a pong, which may yet turn out half a ping."""
        if len(self._buffer) == 1:
            return None
        run = _CRLFS.match(self._buffer)
        if run is None:
            return self._give_up(MessageError("a CR stands alone between messages"))
        ping = self._ping_begun or run.end() >= 4
        del self._buffer[: run.end()]
        self._ping_begun = not ping and bytes(self._buffer[:2]) in (b"", b"\r")
        return Keepalive.PING if ping else Keepalive.PONG

    def _take_head(self, end: int) -> Framed | None:
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        self._searched = 0
        self._ping_begun = False
        if end > MAX_HEAD_BYTES:
            return self._give_up(MessageError(f"the headers are longer than {MAX_HEAD_BYTES} bytes", 513))
        length: int | None
        try:
            self._pending, length = parse_head(head)
        except MessageError as error:
            self._pending, length = error, error.body_length
        if length is None:
            return self._give_up(self._unbounded(self._pending))
        if length > MAX_BODY_BYTES:
            return self._give_up(self._too_long(self._pending))
        self._wanted = length
        return self._take_body(self._pending)

    def _take_body(self, pending: Request | Response | MessageError) -> Framed | None:
        wanted = self._wanted
        if len(self._buffer) < wanted:
            return None
        if not isinstance(pending, MessageError) and wanted:
            pending.body = bytes(self._buffer[:wanted])
        del self._buffer[:wanted]
        self._pending = None
        return pending

    def _give_up(self, error: MessageError) -> MessageError:
        self.broken = True
        self._pending = None
        self._buffer.clear()
        return error

    @staticmethod
    def _unbounded(pending: Request | Response | MessageError) -> MessageError:
        if isinstance(pending, MessageError):
            return pending
        # 20.14: "If a stream-based protocol (such as TCP) is used as transport, then the header field MUST be used."
        return about(pending, "no Content-Length on a stream")

    @staticmethod
    def _too_long(pending: Request | Response | MessageError) -> MessageError:
        if isinstance(pending, MessageError):
            return pending
        return about(pending, f"the body is longer than {MAX_BODY_BYTES} bytes", 513)
