"""One TCP or TLS connection, accepted or opened.

Its life: connecting (what is sent is kept), open, closing (what was sent leaves), ended. Whatever happens, exactly
one StreamClosed ends it, and StreamOpened comes before any StreamData. An accepted one that never got through its
TLS handshake is not told of at all. An open one may change to TLS once (STARTTLS); what is sent meanwhile is kept.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable

from haproxy_voip.core.address import Flow
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened

# A peer that reads more slowly than this is not a telephone; about 1,500 messages.
MAX_UNSENT_BYTES = 2**20
# Kept while the connection is being made: a burst of requests to a backend that has just come up.
MAX_WAITING_BYTES = 2**20
# After `close`, how long the peer has to take what was sent.
LINGER = 5.0

# setsockopt's struct linger {on, 0 seconds}: closing resets the connection.
LINGER_NOT = struct.pack("ii", 1, 0)

StreamEvent = StreamOpened | StreamData | StreamClosed


class Stream(asyncio.Protocol):
    """Tells `receive` what happens and `gone` when it is over."""

    def __init__(
        self,
        flow: Flow,
        receive: Callable[[StreamEvent], None],
        gone: Callable[[Stream], None],
        encrypted: Callable[[Flow, ssl.SSLObject], None] | None = None,
    ) -> None:
        """`encrypted` is told of every finished TLS handshake, after StreamOpened and before what comes encrypted."""
        self.flow = flow
        self.may_be_idle = False  # whether nobody wonders when it is silent for hours
        self.silence = 0.0  # seconds without a byte from the peer, as counted by whoever sweeps idle streams
        self.spoke = False  # whether the peer ever sent anything
        self._receive = receive
        self._gone = gone
        self._encrypted = encrypted
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._opened = False
        self._closing = False
        self._ended = False
        self._reason = ""  # why we end it; empty while we do not
        self._linger: asyncio.TimerHandle | None = None
        self._securing = False  # between STARTTLS and the end of the handshake
        self._early: list[bytes] = []  # came encrypted, before the end of the handshake was told

    @property
    def accepted(self) -> bool:
        """Whether the peer made it; such have odd numbers."""
        return self.flow.connection % 2 == 1

    @property
    def connected(self) -> bool:
        """Whether bytes can flow now."""
        return self._transport is not None and not self._ended

    def send(self, data: bytes) -> None:
        """Write, or keep until connected. A stream that is closing takes no more."""
        if self._closing or self._ended:
            return
        if self._transport is not None and not self._securing:
            self._transport.write(data)
            return
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.fail(f"more than {MAX_WAITING_BYTES} bytes wait for the connection to be made")
        else:
            self._waiting.append(data)

    def close(self) -> None:
        """End it once what was sent has left."""
        if self._closing or self._ended:
            return
        self._closing = True
        self._reason = "closed by us"
        if self._securing:
            self.fail("closed by us")
        elif self._transport is not None:
            self._close_transport(self._transport)
        elif not self._waiting:
            self.fail("closed by us")

    def fail(self, reason: str) -> None:
        """End it at once; what was not sent yet is lost."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()  # connection_lost follows, but not in the middle of a handshake
        if self._transport is None or self._securing:
            self._end(reason)

    def reset(self) -> None:
        """End it at once, so that the peer sees a reset and not an orderly end."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.fail("reset by us")

    def pause_reading(self) -> None:
        """Take nothing from the peer until `resume_reading`."""
        if self.connected and self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if self.connected and self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    async def start_tls(self, context: ssl.SSLContext, name: str | None, seconds: float) -> None:
        """Encrypt from here on, after what was sent before; then `encrypted` is told, or the stream ends.

        `name` is whom the peer must be, and None where we are the server. The handshake may take so many `seconds`.
        Reading must have been paused when this was decided: what comes next is no plain text any more.
        """
        transport = self._transport
        if transport is None or self._securing or self._closing or self._ended:
            return
        self._securing = True
        try:
            secure = await asyncio.get_running_loop().start_tls(
                transport,
                self,
                context,
                server_side=name is None,
                server_hostname=name,
                ssl_handshake_timeout=seconds,
            )
        except OSError as error:
            transport.abort()
            self._end(reason_of(error))
            return
        if secure is None or self._ended:
            return
        self._transport = secure
        secure.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        self._tell_encrypted(secure)
        self._securing = False
        self._write_waiting(secure)
        early, self._early = self._early, []
        for data in early:
            self.data_received(data)

    # -- asyncio.Protocol ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Connected, and for TLS the handshake is done."""
        if self._ended:  # given up while connecting
            transport.abort()
            return
        self._transport = transport
        transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        if not self._closing:
            self._opened = True
            self._receive(StreamOpened(self.flow))
            self._tell_encrypted(transport)
        self._write_waiting(transport)
        if self._closing:
            self._close_transport(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. What comes after `close` has no reader any more."""
        self.silence = 0.0
        self.spoke = True
        if self._securing:
            self._early.append(data)
        elif not self._closing:
            self._receive(StreamData(data, self.flow))

    def pause_writing(self) -> None:
        """MAX_UNSENT_BYTES wait: holding more for a peer that does not read would cost everybody memory."""
        self.fail(f"reads too slowly: {MAX_UNSENT_BYTES} bytes wait for it")

    def connection_lost(self, exc: Exception | None) -> None:
        """Over, from either side."""
        self._end("closed by the peer" if exc is None else reason_of(exc))

    # -----------------------------------------------------------------------------------------------

    def _tell_encrypted(self, transport: asyncio.Transport) -> None:
        handshake = transport.get_extra_info("ssl_object")
        if self._encrypted is not None and handshake is not None:
            self._encrypted(self.flow, handshake)

    def _write_waiting(self, transport: asyncio.Transport) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            transport.write(b"".join(waiting))

    def _close_transport(self, transport: asyncio.Transport) -> None:
        transport.close()
        self._linger = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._waiting.clear()
        if self._linger is not None:
            self._linger.cancel()
        self._gone(self)
        if self._opened or not self.accepted:
            self._receive(StreamClosed(self.flow, self._reason or reason))


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in few words."""
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionResetError():
            return "connection reset"
        case ssl.SSLCertVerificationError():
            return f"certificate not accepted: {error.verify_message}"
        case ssl.SSLError():
            # `reason` is there only when OpenSSL gave one.
            return f"TLS: {(getattr(error, 'reason', None) or str(error)).replace('_', ' ').lower()}"
        case TimeoutError():
            return "timed out"
        case OSError(strerror=str(text)):
            return text.lower()
        case _:
            return str(error) or type(error).__name__
