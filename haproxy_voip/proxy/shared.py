"""What the parts of one node share: its tables, its alarms and the few things they all do."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.admission import Admission
from haproxy_voip.proxy.authentication import Authentication
from haproxy_voip.proxy.effects import NodeEffect
from haproxy_voip.proxy.facts import NodeFact
from haproxy_voip.proxy.leg import Leg, Legs, Side
from haproxy_voip.proxy.network import Network
from haproxy_voip.proxy.passing import Passing
from haproxy_voip.proxy.sources import Sources
from haproxy_voip.proxy.topology import Topology
from haproxy_voip.rtp.ports import PortPool
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import REASON_PHRASES
from haproxy_voip.sip.headers import MAGIC_COOKIE
from haproxy_voip.sip.hop import via_value
from haproxy_voip.sip.message import Header, Request, Response, header, response_to
from haproxy_voip.sip.timers import Timing
from haproxy_voip.sip.transactions import (
    ClientTransaction,
    Outgoing,
    ServerTransaction,
    TransactionOutput,
    Transactions,
)

if TYPE_CHECKING:
    from haproxy_voip.proxy.bridge import Bridge

Output = NodeEffect | NodeFact

RETRY_AFTER = "2"  # seconds; long enough to spread a storm, short enough that a phone user tries again
FORWARDED_MAX = 70  # RFC 3261 section 8.1.1.6


class Wakeable(Hashable, Protocol):
    """Something with a deadline of its own in `Shared.alarms`."""

    def wake(self, now: float) -> list[Output]:
        """The deadline has come."""


class Owner(Protocol):
    """Who asked something in a client transaction and hears what becomes of it."""

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """A response came, provisional or final."""

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No final response will come: timed out, or the transport failed. Never to be mistaken for an answer."""


@dataclass(slots=True)
class Shared:
    """One for a node; see each part's own docstring."""

    config: Config
    chance: Chance
    network: Network
    transactions: Transactions
    legs: Legs
    topology: Topology
    ports: PortPool
    authentication: Authentication
    timing: Timing
    admission: Admission
    sources: Sources
    passing: Passing = field(default_factory=Passing)
    now: float = 0.0  # of the event in hand
    alarms: Deadlines[Wakeable] = field(default_factory=Deadlines)
    streams: int = 0  # the last media stream number given
    # Streams whose removal was asked for and not reported yet -> the token of their call, and their codec.
    removed: dict[int, tuple[str, str]] = field(default_factory=dict)

    def ask(self, request: Request, flow: Flow, owner: Owner, now: float) -> tuple[ClientTransaction, list[Output]]:
        """Send a request in a client transaction of its own."""
        way, opening = self.network.way(flow, request, now)
        whose: Owner = owner if way.transport is flow.transport else LargeRequest(self, owner)
        outgoing = Outgoing(request, way, self.network.sent_by(way), whose)
        transaction, outputs = self.transactions.request(outgoing, now)
        return transaction, [*opening, *_effects(outputs)]

    def answer(self, transaction: ServerTransaction, response: Response, now: float) -> list[Output]:
        """Send a response in its server transaction."""
        outputs = _effects(self.transactions.respond(transaction, response, now))
        way, opening = self.network.way_back(transaction.flow)
        if way is transaction.flow:
            return outputs
        return [*opening, *(Send(way, output.data) for output in outputs if isinstance(output, Send))]

    def cancel(self, transaction: ClientTransaction, headers: Sequence[Header], now: float) -> list[Output]:
        """Cancel an INVITE of ours."""
        return _effects(self.transactions.cancel(transaction, headers, now))

    def refuse(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        headers: Sequence[Header] = (),
        reason: str | None = None,
    ) -> list[Output]:
        """Answer a request ourselves; a tag of ours is added where the request has none."""
        request = transaction.request
        tag = self.chance.token() if request.to.tag is None else None
        if status == 503 and all(name != "retry-after" for name, *_ in headers):
            headers = (*headers, header("Retry-After", RETRY_AFTER))
        response = response_to(request, status, reason or REASON_PHRASES.get(status), tag, headers)
        return self.answer(transaction, response, now)

    def proof(self, response: Response, asked: ServerTransaction, backend: str, now: float) -> list[Output]:
        """What a backend's answer says about who asked, where it is the one who authenticates."""
        if not self.passing.on:
            return []
        request, flow = asked.request, asked.flow
        failures = self.passing.failure(response, request, flow, backend)
        if failures:
            return [*failures, *self.sources.mistake(flow, now, "wrong credentials")]
        if not self.passing.credentials(request):
            return list(self.sources.asked(flow, now))
        if response.status < 300:
            self.sources.proved(flow)
        return []

    def answer_challenge(self, response: Response, request: Request, asked: Bridge, side: Side) -> Header | None:
        """The header that answers a challenge from this side of a call, or None when we cannot.

        To a backend we are our client's user, to a carrier our account there; for a carrier we are nobody anywhere.
        """
        if asked.trunk is None:
            return self.authentication.answer(response, request, asked.user)
        account = asked.trunk.account if side is Side.CLIENT else None
        return None if account is None else account.answer(response, request)

    def send_ack(self, leg: Leg, cseq: int, headers: Sequence[Header] = (), body: bytes = b"") -> list[Output]:
        """Acknowledge a 2xx on this leg, and remember how (RFC 3261 section 13.2.2.4)."""
        ack = self.acknowledgement(leg.dialog, leg.flow, cseq, (*leg.credentials, *headers), body)
        leg.acknowledged(cseq, ack.data)
        return [ack]

    def acknowledgement(
        self, dialog: Dialog, flow: Flow, cseq: int, headers: Sequence[Header] = (), body: bytes = b""
    ) -> Send:
        """The ACK for a 2xx: a request of its own, in no transaction (RFC 3261 section 13.2.2.4)."""
        ack = dialog.ack(cseq, headers, body)
        branch = MAGIC_COOKIE + self.chance.token()
        ack.headers.insert(0, header("via", via_value(flow.transport, self.network.sent_by(flow), branch)))
        return Send(flow, ack.encode())

    def next_stream(self) -> int:
        """A number for a media stream, never used before."""
        self.streams += 1
        return self.streams


class LargeRequest:
    """Owner of a request that goes to a UDP backend by TCP because of its size; heard by its real owner.

    RFC 3261 section 18.1.1: "If this causes the request to be sent over a different transport ... and the connection
    attempt ... fails, the element SHOULD retry the request, using UDP".
    """

    __slots__ = ("_owner", "_shared")

    def __init__(self, shared: Shared, owner: Owner) -> None:
        self._shared = shared
        self._owner = owner

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Pass it on."""
        return self._owner.response(transaction, response, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """Send it as a datagram after all, if it cannot have arrived."""
        shared = self._shared
        transaction.owner = self._owner
        if not shared.network.never_opened(transaction.flow):
            return self._owner.failed(transaction, reason, now)
        flow = shared.network.no_tcp(transaction.flow, now)
        return _effects(shared.transactions.send_again(transaction, flow, shared.network.sent_by(flow), now))


def _effects(outputs: list[TransactionOutput]) -> list[Output]:
    """What the transaction layer wants done. When asked (rather than told) something, it wants nothing else."""
    return [item for item in outputs if isinstance(item, Send)]


def hops_left(request: Request) -> int:
    """Max-Forwards for the request we send on behalf of this one (RFC 3261 section 16.6, step 3)."""
    hops = request.max_forwards
    return FORWARDED_MAX if hops is None else hops - 1
