"""One connection to a backend for one session: its login, what it was sent and has not acknowledged, what came of it.

Everything is counted by XEP-0198. A server without it is pinged instead: it handles what a client sends in order
(RFC 6120 section 10.1), so its answer acknowledges what was sent before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from haproxy_voip.core.address import Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.proxy import effects
from haproxy_voip.proxy.chat.ahead import Ahead
from haproxy_voip.proxy.chat.entry import Entry
from haproxy_voip.proxy.events import TlsStarted
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.client_stream import (
    Authenticated,
    ClientOutput,
    ClientStream,
    Login,
    LoginFailed,
    Ready,
    Resumed,
    ResumeFailed,
    State,
)
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.management import REQUEST, WRAP, Received, Resume, Unacknowledged, answer, count_of
from haproxy_voip.xmpp.namespaces import MANAGEMENT
from haproxy_voip.xmpp.outputs import Ended, StartTls, TlsInfo, Write

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.shared import ChatShared


class LegOwner(Protocol):
    """Who hears what becomes of a leg."""

    def leg_authenticated(self, leg: BackendLeg, event: Authenticated, now: float) -> list[Output]:
        """Logged in; bound next, unless that was not wanted yet."""

    def leg_ready(self, leg: BackendLeg, event: Ready, now: float) -> list[Output]:
        """Bound."""

    def leg_resumed(self, leg: BackendLeg, handled: list[Entry], now: float) -> list[Output]:
        """The session of an earlier connection goes on; these are acknowledged thereby, the rest must be sent again."""

    def leg_failed(self, leg: BackendLeg, event: LoginFailed, now: float) -> list[Output]:
        """The backend does not let us in; `leg_lost` follows."""

    def leg_stanza(self, leg: BackendLeg, stanza: Stanza, number: int, now: float) -> list[Output]:
        """A stanza; `handle(number)` once it is somebody's for certain."""

    def leg_acknowledged(self, leg: BackendLeg, entries: list[Entry], now: float) -> list[Output]:
        """The backend has these."""

    def leg_lost(self, leg: BackendLeg, error: StreamError | None, reason: str, now: float) -> list[Output]:
        """The connection is over. `error` is the backend's stream error, if it gave one."""


@dataclass(slots=True, eq=False)
class Books:
    """Who has what, in a session at a backend; outlives the connection when the session is resumed on another."""

    name: str | None = None  # what the session can be resumed by
    doubted: bool = False  # what it had not acknowledged was seen to
    handled: Received = field(default_factory=Received)
    unacknowledged: Unacknowledged[Entry] = field(default_factory=Unacknowledged)

    @property
    def resume(self) -> Resume | None:
        """How to ask for the session, or None when it cannot be resumed.

        What came and the client has not acknowledged is kept here; sent again, it would come twice.
        """
        return None if self.name is None else Resume(self.name, self.handled.count % WRAP)

    def resumed(self) -> None:
        """The backend was told so."""
        count = self.handled.count
        self.handled = Received()
        self.handled.count = self.handled.handled = count


class BackendLeg:
    """See the module."""

    __slots__ = (
        "_asked_at", "_owed", "_ping", "_probe", "_shared", "_told", "ahead", "backend", "books", "closing", "earlier",
        "flow", "owner", "stream",
    )  # fmt: skip

    def __init__(self, shared: ChatShared, owner: LegOwner, backend: str, login: Login) -> None:
        self._shared = shared
        self.owner: LegOwner | None = owner
        self.backend = backend
        self.flow = shared.flow_to(backend)
        self.stream = ClientStream(login, shared.chance, shared.parsers)
        self.books = Books()
        self.earlier: Books | None = None  # taken over if resuming succeeds
        self.ahead: Ahead | None = None  # a reserve: what it was told before it is needed
        self.closing = False  # we ended it in peace
        self._asked_at: int | None = None  # how many had been sent when an acknowledgement was asked for
        self._owed = 0  # the backend asked when so many had come, and not all of them were handled
        self._told = 0  # what it was last told to be handled
        self._ping: str | None = None  # the id of the ping that stands for `<r/>`; None while XEP-0198 is spoken
        self._probe: int | None = None  # the health probe that the next acknowledgement answers

    @property
    def ready(self) -> bool:
        """Bound, and not about to end."""
        return self.stream.state is State.READY and not self.closing

    @property
    def authenticated(self) -> bool:
        """Logged in, and waiting to be bound."""
        return self.stream.state is State.AUTHENTICATED

    @property
    def managed(self) -> bool:
        """Whether XEP-0198 is spoken."""
        return self._ping is None

    # -- life ---------------------------------------------------------------------------------------

    def open(self) -> list[Output]:
        """Connect."""
        self._shared.legs[self.flow.connection] = self
        return [Open(self.flow)]

    def opened(self, now: float) -> list[Output]:
        """Connected: TLS first where the backend is written `tls:`."""
        if self._shared.endpoint(self.backend).transport is Transport.TLS:
            return [effects.StartTls(self.flow, self.stream.login.jid.domain)]
        return self._perform(self.stream.connected(now), now)

    def tls_started(self, event: TlsStarted, now: float) -> list[Output]:
        """Encrypted."""
        info = TlsInfo(event.binding)
        if self.stream.state is State.IDLE:
            return self._perform(self.stream.connected(now, info), now)
        return self._perform(self.stream.tls_started(info, now), now)

    def received(self, data: bytes, now: float) -> list[Output]:
        """Bytes came: a sign of life as well."""
        self._shared.backends.seen(self.backend, now)
        return self._perform(self.stream.received(data, now), now)

    def wake(self, now: float) -> list[Output]:
        """Something of the login is overdue, or of the farewell."""
        return self._perform(self.stream.wake(now), now)

    def closed(self, reason: str, now: float) -> list[Output]:
        """The connection is gone."""
        self.closing = True
        self._shared.legs.pop(self.flow.connection, None)
        self._shared.alarms.set(self, None)
        owner, self.owner = self.owner, None
        return [] if owner is None else owner.leg_lost(self, None, reason, now)

    def bind(self, now: float, resource: str | None) -> list[Output]:
        """Go on after authentication."""
        return self._perform(self.stream.bind(now, resource=resource), now)

    def close(self, now: float) -> list[Output]:
        """End the session there in peace: the server takes its time over what we have not acknowledged."""
        if self.closing:
            return []
        self.closing = True
        if self.stream.state is State.IDLE:
            return self.abandon()
        # XEP-0198 section 7: a last acknowledgement, so that nothing is stored that the client has.
        last: list[Output] = [Send(self.flow, answer(self.books.handled.h))] if self.books.name is not None else []
        return [*last, *self._perform(self.stream.close(now), now)]

    def abandon(self) -> list[Output]:
        """Leave without a word: the server keeps the session for its return. Nothing more is heard of it."""
        self.owner = None
        self.closing = True
        self._shared.legs.pop(self.flow.connection, None)
        self._shared.alarms.set(self, None)
        return [effects.Reset(self.flow)]

    # -- stanzas ------------------------------------------------------------------------------------

    def send(self, entry: Entry) -> list[Output]:
        """Send, and keep until it is acknowledged."""
        entry.sends += 1
        self.books.unacknowledged.push(entry, len(entry.raw))
        return [Send(self.flow, entry.raw)]

    def begin_again(self) -> None:
        """After a resumption at a server that was left: what it was sent and never had went elsewhere meanwhile."""
        books = Books(self.books.name, handled=self.books.handled)
        books.unacknowledged.acknowledged = self.books.unacknowledged.acknowledged
        self.books = books

    def send_again(self) -> list[Output]:
        """After a resumption: what the backend never had, which is counted already."""
        return [Send(self.flow, entry.raw) for entry in self.books.unacknowledged.pending()]

    def request(self) -> list[Output]:
        """Ask what it has handled, unless that is known or was asked already."""
        if self._asked_at is not None or self.books.unacknowledged.sent == self.books.unacknowledged.acknowledged:
            return []
        return self._ask()

    def probe(self, number: int) -> list[Output]:
        """Ask it in any case; the answer is also that of health probe `number`."""
        self._probe = number
        return self._ask()

    def handle(self, number: int) -> list[Output]:
        """This stanza of the backend's is somebody's for certain; told at the end of the step (`tell_handled`)."""
        handled = self.books.handled
        handled.handle(number)
        if handled.handled >= (self._owed or handled.count):
            self._shared.owing[self] = None
        return []

    def tell_handled(self) -> list[Output]:
        """What it waits to hear; and when it has heard of everything, unasked.

        A server that stops sends back what it does not know to have arrived, and puts whoever did not take it out of
        their rooms.
        """
        handled = self.books.handled
        if handled.handled == self._told or not self.ready or not self.managed:
            return []
        self._owed, self._told = 0, handled.handled
        return [Send(self.flow, answer(handled.h))]

    def _ask(self) -> list[Output]:
        self._asked_at = self.books.unacknowledged.sent
        if self._ping is None:
            return [Send(self.flow, REQUEST)]
        self._ping = f"ping{self._shared.chance.token()}"
        ping = f"<iq type='get' id='{self._ping}'><ping xmlns='urn:xmpp:ping'/></iq>"
        return [Send(self.flow, ping.encode())]

    # -- what the stream says -----------------------------------------------------------------------

    def _perform(self, told: list[ClientOutput], now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in told:
            match item:
                case Stanza():
                    outputs += self._stanza(item, now)
                case Write(data):
                    outputs.append(Send(self.flow, data))
                case StartTls(server_name):
                    outputs.append(effects.StartTls(self.flow, server_name))
                case Whitespace():
                    pass
                case Ended(error):
                    outputs += self._ended(error, now)
                case _:
                    outputs += self._negotiated(item, now)
        self._shared.alarms.set(self, self.stream.deadline if self.flow.connection in self._shared.legs else None)
        return outputs

    def _negotiated(
        self, item: Authenticated | Ready | Resumed | ResumeFailed | LoginFailed, now: float
    ) -> list[Output]:
        owner = self.owner
        if owner is None:
            return []
        match item:
            case Authenticated():
                return owner.leg_authenticated(self, item, now)
            case Ready(_, enabled):
                self.books.name = None if enabled is None else enabled.id
                if enabled is None:
                    self._ping = ""
                return owner.leg_ready(self, item, now)
            case Resumed(_, h):
                return self._resumed(h, now)
            case ResumeFailed(failed):
                return self._not_resumed(failed.h, now)
            case LoginFailed():
                return owner.leg_failed(self, item, now)

    def _resumed(self, h: int, now: float) -> list[Output]:
        earlier, self.earlier = self.earlier, None
        assert earlier is not None and self.owner is not None
        earlier.resumed()
        self.books = earlier
        return self.owner.leg_resumed(self, self.books.unacknowledged.acknowledge(h), now)

    def _not_resumed(self, h: int | None, now: float) -> list[Output]:
        """Some servers still know how far they had come (XEP-0198 section 5)."""
        earlier, self.earlier = self.earlier, None
        assert earlier is not None and self.owner is not None
        if h is None:
            return []
        try:
            return self.owner.leg_acknowledged(self, earlier.unacknowledged.acknowledge(h), now)
        except StreamError:
            return []  # it takes the session for another one

    def _stanza(self, stanza: Stanza, now: float) -> list[Output]:
        if self.owner is None:
            return []
        if stanza.is_stanza:
            if self._ping and stanza.id == self._ping and stanza.name == "iq":
                return self._acknowledged(self._asked_at or 0, now)
            return self.owner.leg_stanza(self, stanza, self.books.handled.receive(), now)
        if stanza.namespace != MANAGEMENT:
            return []
        if stanza.name == "r":
            handled = self.books.handled
            self._owed = handled.count if handled.handled < handled.count else 0
            self._told = handled.handled
            return [Send(self.flow, answer(handled.h))]
        if stanza.name != "a":
            return []
        h = count_of(stanza.attributes)
        if h is None:
            return self._perform(self.stream.close(now, StreamError(StreamCondition.BAD_FORMAT, "h")), now)
        return self._acknowledged(h, now)

    def _acknowledged(self, h: int, now: float) -> list[Output]:
        assert self.owner is not None
        try:
            done = self.books.unacknowledged.acknowledge(h)
        except StreamError as error:
            return self._perform(self.stream.close(now, error), now)
        outputs: list[Output] = []
        if self._probe is not None:
            number, self._probe = self._probe, None
            outputs += self._shared.failovers.probe_answered(self.backend, number, now)
        asked_at, self._asked_at = self._asked_at, None
        if done:
            outputs += self.owner.leg_acknowledged(self, done, now)
        if asked_at is not None and self.books.unacknowledged.sent > asked_at and self.owner is not None:
            outputs += self.request()
        return outputs

    def _ended(self, error: StreamError | None, now: float) -> list[Output]:
        """The stream is over, and the connection soon."""
        self.closing = True
        owner, self.owner = self.owner, None
        told = [] if owner is None else owner.leg_lost(self, error, "the stream was closed", now)
        return [Close(self.flow), *told]
