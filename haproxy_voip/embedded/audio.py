"""The audio of a demonstration phone: sends its own tone by RTP and listens for another's."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import pairwise
from time import monotonic

from haproxy_voip.core.address import Address
from haproxy_voip.embedded.tone import FRAME_SAMPLES, FRAME_SECONDS, frame, has_tone
from haproxy_voip.rtp.header import FIXED_BYTES, Header, MalformedPacket

PCMU = 0
# Twenty minutes of arrivals.
MAX_ARRIVALS = 60_000
WRAP_SEQUENCE, WRAP_TIMESTAMP = 1 << 16, 1 << 32
# A clock that fell further behind than this starts anew instead of sending a burst.
MAX_BEHIND = 0.2


class AudioEnd(asyncio.DatagramProtocol):
    """One RTP port. `arrivals` are the times (monotonic seconds) of packets in which the wanted tone was found."""

    def __init__(self, local: Address, own_hz: int, wanted_hz: int, ssrc: int) -> None:
        self.local = local
        self.remote: Address | None = None  # where to send; None: nothing is sent
        self.arrivals: deque[float] = deque(maxlen=MAX_ARRIVALS)
        self.strange = 0  # packets that are no RTP or hold another sound
        self._frame = frame(own_hz)
        self._wanted_hz = wanted_hz
        self._ssrc = ssrc
        self._sequence = 0
        self._timestamp = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._heard = asyncio.Event()

    async def start(self) -> None:
        """Bind and begin. Raises OSError."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=self.local)
        self._next_at = loop.time()
        self._send()

    def stop(self) -> None:
        """Close the port."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def heard_after(self, moment: float, patience: float) -> float | None:
        """When the tone was first heard after that moment, waited for; None when it was not in time."""
        try:
            async with asyncio.timeout(patience):
                while (found := next((at for at in self.arrivals if at > moment), None)) is None:
                    self._heard.clear()
                    await self._heard.wait()
                return found
        except TimeoutError:
            return None

    def longest_gap(self, begin: float, end: float) -> float:
        """The longest time without the tone between two moments, seconds."""
        times = [begin, *(at for at in self.arrivals if begin < at < end), end]
        return max(later - earlier for earlier, later in pairwise(times))

    # -- asyncio.DatagramProtocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Bound."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Look for the tone."""
        try:
            header = Header.parse(data)
        except MalformedPacket:
            self.strange += 1
            return
        if header.payload_type == PCMU and has_tone(data[FIXED_BYTES:], self._wanted_hz):
            self.arrivals.append(monotonic())
            self._heard.set()
        else:
            self.strange += 1

    def error_received(self, exc: OSError) -> None:  # type: ignore[override]
        """Whoever we send to is gone; signalling will say so."""

    # ------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        loop = asyncio.get_running_loop()
        if self.remote is not None and self._transport is not None:
            header = Header(PCMU, self._sequence, self._timestamp, self._ssrc)
            self._transport.sendto(header.encode() + self._frame, self.remote)
            self._sequence = (self._sequence + 1) % WRAP_SEQUENCE
        self._timestamp = (self._timestamp + FRAME_SAMPLES) % WRAP_TIMESTAMP
        self._next_at += FRAME_SECONDS
        if self._next_at < loop.time() - MAX_BEHIND:
            self._next_at = loop.time()
        self._timer = loop.call_at(self._next_at, self._send)
