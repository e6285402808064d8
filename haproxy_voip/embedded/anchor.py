"""Media through the embedded PBX, as Asterisk carries it: a phone's packets come to the PBX, which sends them on.

A machine around the PBX's. What a leg's SDP says is replaced by a port of our own before the PBX, which passes bodies
on, sees it. A packet that arrives there goes to that leg, out of the port which its sender was told of; its sender is
known by its source, as every party here sends from where it wants to be sent to (RFC 4961).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from haproxy_voip.core.address import Address
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.events import Datagram, NetworkEvent
from haproxy_voip.embedded.facts import Output
from haproxy_voip.embedded.media import SDP
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Message, parse
from haproxy_voip.sip.sdp import OriginKeeper, Rewrite, rewritten
from haproxy_voip.sip.sdp import parse as parse_sdp

FIRST_PORT, LAST_PORT = 10_000, 19_998  # RTP has the even ones, RTCP the next
# Legs whose ports are kept; the oldest are closed. A demonstration has four at a time.
MAX_LEGS = 200
MAX_DATAGRAM = 2048

Took = Callable[["Port"], None]


class Port:
    """One port, and the party that whoever sends to it wants to reach."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.party: Address | None = None

    def send(self, data: bytes, party: Address) -> None:
        """What cannot be sent is lost, as on any network."""
        try:
            self.sock.sendto(data, party)
        except OSError:
            return


class Leg:
    """A dialog's ports: RTP and RTCP."""

    def __init__(self, ports: tuple[Port, Port], number: int, origin: OriginKeeper) -> None:
        self.ports = ports
        self.number = number  # of the RTP port
        self.origin = origin


class AnchoredPbx:
    """See the module. To be made inside the loop it runs on; `close` frees the ports."""

    def __init__(self, pbx: Pbx, host: str, chance: Chance) -> None:
        self.pbx = pbx
        self._host = host
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._legs: dict[str, Leg] = {}  # by Call-ID
        self._by_party: dict[Address, Port] = {}
        self._next = FIRST_PORT

    # -- the machine ---------------------------------------------------------------------------------

    def receive(self, event: NetworkEvent, now: float) -> list[Output]:
        """Take one event; SDP over UDP is changed on its way."""
        if isinstance(event, Datagram) and SDP.encode() in event.data:
            event = Datagram(self._anchored(event.data), event.flow)
        return self.pbx.receive(event, now)

    def wake(self, now: float) -> list[Output]:
        """As the PBX."""
        return self.pbx.wake(now)

    @property
    def deadline(self) -> float | None:
        """As the PBX's."""
        return self.pbx.deadline

    def close(self) -> None:
        """Free every port."""
        for call_id in list(self._legs):
            self._drop(call_id)

    # ------------------------------------------------------------------------------------------------

    def _anchored(self, data: bytes) -> bytes:
        try:
            message = parse(data)
            if message.content_type != SDP:
                return data
            return self._rewritten(message)
        except MessageError:
            return data  # the PBX will say what is wrong with it

    def _rewritten(self, message: Message) -> bytes:
        description = parse_sdp(message.body)
        leg = self._leg(message.call_id)
        ports: list[int | None] = [0] * len(description.medias)
        for index, section in enumerate(description.medias):
            if section.kind == "audio" and not section.rejected:
                for port, party in zip(leg.ports, (section.address, section.rtcp_address), strict=True):
                    self._point(port, party)
                ports[index] = leg.number
                break  # one stream of a call is enough for a demonstration
        message.body = rewritten(description, Rewrite(self._host, ports, leg.origin))
        return message.encode()

    def _point(self, port: Port, party: Address | None) -> None:
        if port.party is not None:
            self._by_party.pop(port.party, None)
        port.party = party
        if party is not None:
            self._by_party[party] = port

    def _leg(self, call_id: str) -> Leg:
        leg = self._legs.get(call_id)
        if leg is None:
            if len(self._legs) >= MAX_LEGS:
                self._drop(next(iter(self._legs)))
            leg = self._legs[call_id] = self._bind()
        return leg

    def _bind(self) -> Leg:
        """Raises MessageError(503) when no ports are free."""
        for _ in range((LAST_PORT - FIRST_PORT) // 2 + 1):
            number = self._next
            self._next = FIRST_PORT if number >= LAST_PORT else number + 2
            try:
                ports = self._port(number), self._port(number + 1)
            except OSError:
                continue
            return Leg(ports, number, OriginKeeper.begin(self._chance, self._host))
        raise MessageError("no ports for media", 503)

    def _port(self, number: int) -> Port:
        """Raises OSError."""
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.bind((self._host, number))
        except OSError:
            sock.close()
            raise
        port = Port(sock)
        self._loop.add_reader(sock.fileno(), self._read, port)
        return port

    def _read(self, port: Port) -> None:
        try:
            data, source = port.sock.recvfrom(MAX_DATAGRAM)
        except OSError:
            return
        if port.party is not None:
            sender = self._by_party.get(Address(source[0], source[1]), port)
            sender.send(data, port.party)

    def _drop(self, call_id: str) -> None:
        for port in self._legs.pop(call_id).ports:
            self._point(port, None)
            self._loop.remove_reader(port.sock.fileno())
            port.sock.close()
