"""A PBX that says nothing of what it does: its own media ports, no header passed on, numbers that lead elsewhere.

A machine around the embedded PBX, as `embedded.anchor` is for real packets. The embedded PBX alone passes everything
on, so that it is always plain which of its legs belong together; real ones rarely do.

A number 7xxx leads to the user after 1xxx, as a queue does; 8xxx to 1xxx, and the caller stays anonymous; every fourth
user has forwarded all calls to the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from haproxy_voip.core.address import Address
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.events import Datagram
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.proxy.topology import TOKEN_HEADER
from haproxy_voip.sip.message import Message, Request, parse
from haproxy_voip.sip.sdp import OriginKeeper, Rewrite, rewritten
from haproxy_voip.sip.sdp import parse as parse_sdp

NUMBER = re.compile(r"(?<=sip:)(\d{4})(?=@)")
CALLER = re.compile(r"sip:\d+@")
USERS = 8  # that numbers lead to


def leads_to(number: str) -> str:
    """The user who is called when somebody dials this."""
    kind, index = number[0], int(number[1:])
    if kind == "7":
        return f"1{index % USERS + 1:03}"
    if index % 4 == 0:
        index -= 1
    return f"1{index:03}"


class OpaquePbx:
    """See the module. `ports` gives numbers never used before."""

    def __init__(self, pbx: Pbx, host: str, ports: Iterator[int], chance: Chance) -> None:
        self._pbx = pbx
        self._host = host
        self._ports = ports
        self._origin = OriginKeeper.begin(chance, host)
        self._legs: dict[str, Address] = {}  # by Call-ID: where its party is told to be reached
        self.party: dict[Address, Address] = {}  # what arrives there goes to this party

    def __getattr__(self, name: str) -> object:
        return getattr(self._pbx, name)

    def receive(self, event: object, now: float) -> object:
        """As the PBX, which is not told everything."""
        if isinstance(event, Datagram) and len(event.data.strip()) > 16:
            event = Datagram(self._less(parse(event.data)), event.flow)
        return self._pbx.receive(event, now)  # type: ignore[arg-type]

    def wake(self, now: float) -> object:
        """As the PBX."""
        return self._pbx.wake(now)

    @property
    def deadline(self) -> float | None:
        """As the PBX's."""
        return self._pbx.deadline

    def _less(self, message: Message) -> bytes:
        message.remove(TOKEN_HEADER)
        if isinstance(message, Request) and message.method == "INVITE" and message.to.tag is None:
            self._lead(message)
        if message.content_type == "application/sdp":
            description = parse_sdp(message.body)
            local = self._legs.get(message.call_id)
            if local is None:
                local = self._legs[message.call_id] = Address(self._host, next(self._ports))
            for section in description.medias:
                if section.address is not None:
                    self.party[local] = section.address
            message.body = rewritten(
                description, Rewrite(self._host, [local.port] * len(description.medias), self._origin)
            )
        return message.encode()

    def _lead(self, invite: Request) -> None:
        found = NUMBER.search(invite.uri)
        if found is None:
            return
        invite.uri = NUMBER.sub(leads_to(found[1]), invite.uri)
        if found[1].startswith("8"):
            invite.set("from", CALLER.sub("sip:anonymous@", invite.get("from") or ""))
