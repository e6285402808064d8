"""What goes to the client: written, and kept until the client has it.

A backend's stanza is handled, and may be acknowledged to it, when the client acknowledged it; or, where the client does
not speak XEP-0198, when it was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.management import REQUEST, Unacknowledged

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.backend_leg import BackendLeg
    from haproxy_voip.proxy.chat.client_leg import ClientLeg


@dataclass(slots=True)
class Delivery:
    """One stanza for the client. `leg` None: it is ours."""

    raw: bytes
    leg: BackendLeg | None
    number: int


class Incoming:
    """See the module."""

    __slots__ = ("_asked_at", "unacknowledged")

    def __init__(self) -> None:
        self.unacknowledged: Unacknowledged[Delivery] | None = None  # None: the client does not speak XEP-0198
        self._asked_at: int | None = None

    def deliver(self, raw: bytes, client: ClientLeg | None, leg: BackendLeg | None, number: int) -> list[Output]:
        """Write it, or keep it for a client that is away. Raises StreamError when the client takes too little."""
        books = self.unacknowledged
        if books is None:
            written = [] if client is None else client.write(raw)
            return written if leg is None else [*written, *leg.handle(number)]
        if books.full:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "too many stanzas without an acknowledgement")
        books.push(Delivery(raw, leg, number), len(raw))
        return [] if client is None else client.write(raw)

    def request(self, client: ClientLeg) -> list[Output]:
        """Ask the client what it has, unless that is known or was asked already."""
        books = self.unacknowledged
        if books is None or self._asked_at is not None or books.sent == books.acknowledged:
            return []
        self._asked_at = books.sent
        return client.write(REQUEST)

    def acknowledge(self, h: int, client: ClientLeg | None) -> list[Output]:
        """The client has so many. Raises StreamError when there never were."""
        books = self.unacknowledged
        if books is None:
            return []
        outputs: list[Output] = []
        for done in books.acknowledge(h):
            if done.leg is not None:
                outputs += done.leg.handle(done.number)
        asked_at, self._asked_at = self._asked_at, None
        if client is not None and asked_at is not None and books.sent > asked_at:
            outputs += self.request(client)
        return outputs

    def repeat(self, client: ClientLeg) -> list[Output]:
        """The client is back: what it does not have."""
        self._asked_at = None
        books = self.unacknowledged
        assert books is not None
        outputs = [output for delivery in books.pending() for output in client.write(delivery.raw)]
        return [*outputs, *self.request(client)]

    def pending(self) -> list[Delivery]:
        """What the client has not acknowledged."""
        return [] if self.unacknowledged is None else self.unacknowledged.pending()

    def carried_on(self, leg: BackendLeg) -> None:
        """The session of an earlier leg at that backend goes on over this one."""
        for delivery in self.pending():
            if delivery.leg is not None and delivery.leg.books is leg.books:
                delivery.leg = leg
