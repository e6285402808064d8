"""One socket of a relayed stream: what arrives on it is judged, counted and sent out of another one.

A leg has two ways of reading. *Checked*: every packet is shown to the latch with its source. *Connected*: the latch has
settled, the socket is connected to its peer, and the kernel drops everybody else. A connected socket is a cache of the
latch's answer and is given up when a new plan may change it. A *deaf* leg reads only to throw away.

No object is made for a packet beyond what the calls into the kernel make.

An ICMP error on a connected UDP socket is POLLERR, on which libuv stops watching the socket for good and without a
word. So whatever takes the error off the socket, be it reading or sending, has the socket watched anew.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_ports import Port
from haproxy_voip.edge.media_shortcut import Shortcut
from haproxy_voip.edge.media_sockets import connect, disconnect
from haproxy_voip.edge.media_tally import Tally
from haproxy_voip.rtp.flow import Latch, Verdict
from haproxy_voip.rtp.header import FIXED_BYTES, ORDER, RTCP_MIN_BYTES, RTCP_TYPES, VERSION_BITS, VERSION_MASK
from haproxy_voip.rtp.joint import Joint

# A datagram longer than this is no audio, no video frame cut for an Ethernet and no fax: 40 ms of 48 kHz stereo L16.
MAX_DATAGRAM = 8192
# Packets taken from one socket before the others have their turn.
DRAIN_LIMIT = 16
# A packet this soon (seconds) after the one before says that more are waiting; audio comes every 10 ms or slower.
BURST_GAP = 0.004

TURNS = (None,) * DRAIN_LIMIT  # a loop over this costs less than one over a range
order_of = ORDER.unpack_from

RTCP_FIRST = RTCP_TYPES.start
RTCP_LAST = RTCP_TYPES.stop - 1
NO_SEQUENCE = -1  # for the latch, where there is no RTP header

# One buffer for all legs: a packet has left again before the next is read. One byte more tells a datagram cut off.
BUFFER = bytearray(MAX_DATAGRAM + 1)
VIEW = memoryview(BUFFER)

Transmit = Callable[[memoryview], int]
Retell = Callable[[memoryview], bytes]  # RTCP as its reader is to be told it; empty: nothing
# Sees an RTP packet in the buffer, its size and when it came, before anything is done to it; False: it goes no further.
Look = Callable[[int, float], bool]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Whom a leg tells: from within its reading loop, so these must not change any leg."""

    latched: Callable[[Address], None]
    refused: Callable[[], None]


class Leg:
    """One component of one party. `opaque` legs carry UDPTL, `control` legs RTCP, all others RTP."""

    __slots__ = (
        "_around",
        "_connected",
        "_connecting",
        "_other_reader",
        "_port",
        "_recv_into",
        "_recvfrom_into",
        "control",
        "deaf",
        "drain",
        "joint",
        "latch",
        "look",
        "mux",
        "opaque",
        "partner",
        "receives",
        "retell",
        "rtcp_partner",
        "shortcut",
        "sock",
        "steady",
        "tally",
        "transmit",
    )

    def __init__(self, port: Port, latch: Latch, tally: Tally, around: Surroundings) -> None:
        self._port = port
        self.sock = port.sock
        self.latch = latch
        self.tally = tally
        self.control = self.opaque = self.mux = self.deaf = False
        self.receives = True
        self.partner: Leg = self  # where what arrives here leaves; set by the relay
        self.rtcp_partner: Leg = self  # the same for RTCP that arrives here
        self.joint: Joint | None = None  # what is done to RTP on its way to the partner
        self.retell: Retell | None = None  # and to RTCP
        self.look: Look | None = None  # who wants to see what arrives here
        self.steady = True  # nobody else may send to its partner, and `look` tells of payloads at most
        self.shortcut: Shortcut | None = None  # None: every packet comes here
        self.transmit: Transmit | None = None  # send to this leg's party; None: it may not or cannot be sent to
        self.drain: Callable[[], None] = self._drain_checked
        self._around = around
        self._connected: Address | None = None
        self._connecting = False  # connected, but packets that came before may still be queued
        self._other_reader: Callable[[], None] | None = None  # in place of ours
        self._bind_calls()

    def _bind_calls(self) -> None:
        self._recv_into, self._recvfrom_into = self.sock.recv_into, self.sock.recvfrom_into

    def move(self, port: Port) -> None:
        """Go on with another port; the caller gives the former one back and calls `route`."""
        self._port, self.sock = port, port.sock
        self._connected, self._connecting = None, False
        self._bind_calls()

    def release(self) -> None:
        """It is over: let go of what refers back to it, because nothing collects circles (commands/serve.py).

        The port is the caller's to give back.
        """
        if self.shortcut is not None:
            self.shortcut.end()
        del self.drain, self.transmit, self.partner, self.rtcp_partner, self.retell, self.look
        del self.shortcut, self._around

    def route(self, now: float) -> None:
        """Do what the latch says now: after a new plan, a new latch, and when a latch has settled."""
        if self.shortcut is not None:
            self.shortcut.recall()
        peer = self.latch.peer if self.latch.settled(now) else None
        if self._connected is not None and self._connected != peer:
            disconnect(self.sock)
            self._connected = None
            self._port.watch()  # an error may have been taken off it
        if peer is not None and self._connected is None and connect(self.sock, peer):
            self._connected, self._connecting = peer, True
        self._read_as_fits()
        self.transmit = self._transmit()

    @property
    def trusted_peer(self) -> Address | None:
        """Who alone is heard here, without asking the latch; None as long as it must be asked."""
        return None if self._connecting else self._connected

    def waits(self) -> bool:
        """Whether something is in the socket that was not read yet."""
        try:
            self.sock.recv_into(BUFFER, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError as error:
            self.fault(error)
        return True

    def read_by(self, reader: Callable[[], None] | None) -> None:
        """Let this be called when there is something to read; None: the way it always was."""
        self._other_reader = reader
        self._read_as_fits()

    def _read_as_fits(self) -> None:
        self.drain = self._port.reader = self._way_to_read()

    def _way_to_read(self) -> Callable[[], None]:
        if self._other_reader is not None:
            return self._other_reader
        if self.deaf:
            return self._drain_deaf
        if self._connected is None or self._connecting:
            return self._drain_checked
        if self.control or self.opaque or self.mux:
            return self._drain_connected
        return self._drain_media

    def _transmit(self) -> Transmit | None:
        target, sendto = self.latch.target, self.sock.sendto
        if target is None or not self.receives:
            return None
        if self._connected is not None:
            return self.sock.send
        return lambda packet: sendto(packet, target)

    def _drain_media(self) -> None:
        """RTP and nothing else from a connected socket: the path nearly every packet takes.

        So it looks up and calls as little as it can: what it does itself took a third of its time when others did it.
        """
        tally, receive = self.tally, self._recv_into
        for _ in TURNS:
            try:
                size = receive(BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                self.fault(error)
                return
            if size < FIXED_BYTES or size > MAX_DATAGRAM or BUFFER[0] & VERSION_MASK != VERSION_BITS:
                tally.dropped += 1
                continue
            now = monotonic()
            gap = now - tally.last_arrival
            tally.last_arrival = now
            tally.packets += 1
            tally.bytes += size
            sequence, timestamp, ssrc = order_of(BUFFER)
            tally.reception.arrived(sequence, timestamp, ssrc, now)
            look, joint = self.look, self.joint
            if (look is None or look(size, now)) and (joint is None or joint.carry(BUFFER, size, now)):
                transmit = self.partner.transmit
                if transmit is None:
                    tally.unsent += 1
                else:
                    try:
                        transmit(VIEW[:size])
                    except OSError as error:
                        self._again(error, self.partner, size)
            else:
                tally.unsent += 1
            if gap > BURST_GAP:
                return  # asking once more would cost a call into the kernel, and an exception, to learn there is none

    def _drain_deaf(self) -> None:
        """Whoever is there, nobody listens."""
        for _ in range(DRAIN_LIMIT):
            try:
                self._recv_into(BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                self.fault(error)
                return
            self.tally.dropped += 1

    def _drain_connected(self) -> None:
        """RTCP, UDPTL, or RTP muxed with RTCP, from a connected socket."""
        for _ in range(DRAIN_LIMIT):
            try:
                size = self._recv_into(BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                self.fault(error)
                return
            if self.plausible(size):
                self.take(size, monotonic())
            else:
                self.tally.dropped += 1

    def _drain_checked(self) -> None:
        """Anything, from anybody: the latch is asked for each packet."""
        for _ in range(DRAIN_LIMIT):
            try:
                size, sender = self._recvfrom_into(BUFFER)
            except BlockingIOError:
                self._queue_is_clean()
                return
            except OSError as error:
                self.fault(error)
                return
            if not self.plausible(size) or not self._admitted(Address(sender[0], sender[1])):
                self.tally.dropped += 1
            else:
                self.take(size, monotonic())

    def plausible(self, size: int) -> bool:
        """Whether what is in the buffer can be what this port is for."""
        if self.opaque:
            return 0 < size <= MAX_DATAGRAM and not self.control
        if not RTCP_MIN_BYTES <= size <= MAX_DATAGRAM or BUFFER[0] & VERSION_MASK != VERSION_BITS:
            return False
        if self.control:
            return RTCP_FIRST <= BUFFER[1] <= RTCP_LAST
        return size >= FIXED_BYTES or self.holds_rtcp()

    def holds_rtcp(self) -> bool:
        """Whether what is in the buffer, plausible as it is, is RTCP (RFC 5761 section 4)."""
        return self.control or (self.mux and RTCP_FIRST <= BUFFER[1] <= RTCP_LAST)

    def _admitted(self, source: Address) -> bool:
        """Ask the latch, and follow its answer."""
        ssrc = sequence = NO_SEQUENCE
        if not self.opaque and not self.holds_rtcp():
            sequence, _, ssrc = ORDER.unpack_from(BUFFER)
        now = monotonic()
        verdict = self.latch.accept(source, ssrc, sequence, now)
        if verdict is Verdict.DROP:
            return False
        if verdict is Verdict.LATCH:
            self.route(now)
            self._around.latched(source)
        elif self._connected is None and self.latch.settled(now):
            self.route(now)
        return True

    def _queue_is_clean(self) -> None:
        """Nothing is left from before the socket was connected: from now on the kernel's check is enough."""
        if self._connecting:
            self._connecting = False
            self.route(monotonic())

    def take(self, size: int, now: float) -> None:
        """Count what is in the buffer and pass it on."""
        tally = self.tally
        tally.last_arrival = now
        if self.opaque:
            tally.packets += 1
            tally.bytes += size
            self._pass_on(self.partner, size)
        elif self.holds_rtcp():
            tally.rtcp += 1
            self._pass_on_rtcp(size)
        else:
            tally.packets += 1
            tally.bytes += size
            sequence, timestamp, ssrc = ORDER.unpack_from(BUFFER)
            tally.reception.arrived(sequence, timestamp, ssrc, now)
            look, joint = self.look, self.joint
            if (look is None or look(size, now)) and (joint is None or joint.carry(BUFFER, size, now)):
                self._pass_on(self.partner, size)
            else:
                tally.unsent += 1

    def pass_on_late(self, packet: bytearray, at: float) -> None:
        """Send the partner an RTP packet that came here at `at`, and was counted then."""
        size = len(packet)
        BUFFER[:size] = packet
        if self.joint is None or self.joint.carry(BUFFER, size, at):
            self._pass_on(self.partner, size)

    def _pass_on_rtcp(self, size: int) -> None:
        if self.retell is not None:
            told = self.retell(VIEW[:size])
            size = len(told)
            if size == 0:
                return
            BUFFER[:size] = told
        self._pass_on(self.rtcp_partner, size)

    def _pass_on(self, partner: Leg, size: int) -> None:
        transmit = partner.transmit
        if transmit is None:
            self.tally.unsent += 1
            return
        try:
            transmit(VIEW[:size])
        except OSError as error:
            self._again(error, partner, size)

    def speak(self, packet: bytes | bytearray) -> None:
        """Send this leg's party a packet of our own; one that cannot be sent is gone."""
        if self.transmit is not None:
            try:
                self.transmit(memoryview(packet))
            except OSError as error:
                self.fault(error)

    def _again(self, error: OSError, partner: Leg, size: int) -> None:
        """Sending failed. An ICMP error that an earlier packet brought is told instead of sending: send once more."""
        if partner.fault(error) and partner.transmit is not None:
            try:
                partner.transmit(VIEW[:size])
            except OSError as second:
                error = second
            else:
                return
        self.tally.unsent += 1

    def fault(self, error: OSError) -> bool:
        """Note an error that was taken off this leg's socket; True when it says that nobody listens at the peer."""
        self._port.watch()
        if not isinstance(error, ConnectionRefusedError):
            return False
        self.tally.refused += 1
        self._around.refused()
        return True
