"""A small chat server: accounts, one roster with everybody in it, presence, messages, rooms, stream management.

Sans-I/O, like every machine here. It speaks the negotiation with the package's own server stream; all users see each
other, nothing is asked of them before. What outlives it (`ChatStore`) is handed in, as a disk would be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from haproxy_voip.core.address import Flow
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.core.events import Datagram, NetworkEvent, StreamClosed, StreamData, StreamOpened
from haproxy_voip.embedded.chat_link import ChatLink
from haproxy_voip.embedded.chat_rooms import SHUTDOWN, ChatRooms
from haproxy_voip.embedded.chat_routing import ChatRouting
from haproxy_voip.embedded.chat_session import ChatSession
from haproxy_voip.embedded.settings import ChatServerSettings
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import answer, count_of
from haproxy_voip.xmpp.namespaces import MANAGEMENT
from haproxy_voip.xmpp.parser import ParserPool
from haproxy_voip.xmpp.sasl.scram import MIN_ITERATIONS, derive_keys
from haproxy_voip.xmpp.server_stream import ServerPolicy, ServerStream

SECRET_BYTES = 32
# The same on every embedded server, as if accounts had been copied: a key proved at one is good for the others.
SALT = b"embedded servers"
# Connections at once; more are closed at once.
MAX_LINKS = 10_000

Output = Send | Close


@dataclass(slots=True)
class ChatStore:
    """What is still there when the server is started again."""

    offline: dict[str, list[bytes]] = field(default_factory=dict)  # by bare address, oldest first


@lru_cache(1_000)
def _keys(password: str, algorithm: str) -> ScramKeys:
    return derive_keys(password, algorithm, SALT, MIN_ITERATIONS)[1]


class ChatServer:
    """See the module. `passwords` may be changed at any time."""

    def __init__(self, settings: ChatServerSettings, chance: Chance, store: ChatStore | None = None) -> None:
        self.settings = settings
        self.chance = chance
        self.store = store or ChatStore()
        self.passwords = dict(settings.users)
        self.links: dict[int, ChatLink] = {}
        self.sessions: dict[str, ChatSession] = {}  # by full address
        self.alarms: Deadlines[ChatLink | ChatSession] = Deadlines()
        self.to_ask: dict[ChatSession, None] = {}  # were sent something in this step
        self.logins = 0
        self.wall = settings.epoch_offset  # wall-clock seconds, as of this step
        self.routing = ChatRouting(self)
        self.rooms = ChatRooms(self)
        self._policy = ServerPolicy(
            domains=frozenset({settings.domain}),
            fake_secret=chance.bytes(SECRET_BYTES),
            tls_offered=False,
            tls_required=False,
            management=settings.management,
        )
        self._parsers = ParserPool()
        self._outputs: list[Output] = []

    # -- the machine ---------------------------------------------------------------------------------

    def receive(self, event: NetworkEvent, now: float) -> list[Output]:
        """Take one event."""
        self.wall = now + self.settings.epoch_offset
        match event:
            case StreamOpened(flow):
                self.opened(flow, now)
            case StreamData(data, flow):
                link = self.links.get(flow.connection)
                if link is not None:
                    link.receive(data, now)
            case StreamClosed(flow):
                link = self.links.get(flow.connection)
                if link is not None:
                    self.lost(link, now)
            case Datagram():
                pass
        return self._take_outputs()

    def wake(self, now: float) -> list[Output]:
        """Act on everything that is due."""
        self.wall = now + self.settings.epoch_offset
        while (sleeper := self.alarms.pop(now)) is not None:
            if isinstance(sleeper, ChatLink):
                sleeper.wake(now)
            else:
                self.end(sleeper)
        return self._take_outputs()

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        return self.alarms.next

    def shut_down(self, now: float) -> list[Output]:
        """One after the other is told so and disconnected, of which those whose turn is yet to come still hear."""
        for link in list(self.links.values()):
            session = link.session
            if session is not None:
                self.rooms.lost(session, SHUTDOWN)
            link.end(StreamError(StreamCondition.SYSTEM_SHUTDOWN), now)
            if session is not None:
                session.link = None
                self.end(session)
        return self._take_outputs()

    def emit(self, output: Output) -> None:
        """Have this done at the end of the step."""
        self._outputs.append(output)

    def _take_outputs(self) -> list[Output]:
        to_ask, self.to_ask = self.to_ask, {}
        for session in to_ask:
            session.ask()
        outputs, self._outputs = self._outputs, []
        return outputs

    # -- connections ---------------------------------------------------------------------------------

    def opened(self, flow: Flow, now: float) -> None:
        """Somebody has connected."""
        if len(self.links) >= MAX_LINKS:
            self.emit(Close(flow))
            return
        link = self.links[flow.connection] = ChatLink(self, flow, self.stream(now))
        self.alarms.set(link, link.stream.deadline)

    def stream(self, now: float) -> ServerStream:
        """For a new connection."""
        return ServerStream(self._policy, self.chance, now, parsers=self._parsers)

    def lost(self, link: ChatLink, now: float) -> None:
        """The connection broke: a resumable session waits, another one is over."""
        self._forget(link)
        session, link.session = link.session, None
        if session is None:
            return
        session.link = None
        if session.name is None:
            self.end(session)
        else:
            self.alarms.set(session, now + self.settings.resumable)

    def stream_ended(self, link: ChatLink, now: float) -> None:
        """In peace, or by a mistake of the client's: its session is over too."""
        self._forget(link)
        session, link.session = link.session, None
        if session is not None:
            session.link = None
            self.end(session)

    def _forget(self, link: ChatLink) -> None:
        self.links.pop(link.flow.connection, None)
        self.alarms.set(link, None)

    # -- accounts and sessions -----------------------------------------------------------------------

    def keys_of(self, user: str, algorithm: str) -> ScramKeys | None:
        """For SCRAM; None for nobody we know."""
        password = self.passwords.get(user)
        return None if password is None else _keys(password, algorithm)

    def bind(self, link: ChatLink, resource: str | None, now: float) -> None:
        """A session for whoever logged in on this connection. Who has that resource loses it (RFC 6120 7.7.2.2)."""
        assert link.stream.jid is not None
        jid = str(link.stream.jid.with_resource(resource or self.chance.token()))
        known = self.sessions.get(jid)
        if known is not None:
            before, known.link = known.link, None
            self.end(known)
            if before is not None:
                before.end(StreamError(StreamCondition.CONFLICT, "logged in again with this resource"), now)
        session = self.sessions[jid] = ChatSession(self, jid, link)
        link.bound(session, now)

    def resumable(self, name: str, account: Jid | None) -> ChatSession | None:
        """The session of that name, where it is this account's."""
        for session in self.sessions.values():
            if session.name == name and account is not None and session.bare == str(account):
                return session
        return None

    def moves(self, session: ChatSession, link: ChatLink, now: float) -> None:
        """The session goes on over another connection."""
        before, session.link = session.link, link
        self.alarms.set(session, None)
        if before is not None:
            before.end(StreamError(StreamCondition.CONFLICT, "resumed on another connection"), now)

    def end(self, session: ChatSession) -> None:
        """The session is over; what its client does not have goes to the account's others, or waits for one."""
        if self.sessions.get(session.jid) is not session:
            return
        del self.sessions[session.jid]
        self.alarms.set(session, None)
        self.to_ask.pop(session, None)
        self.rooms.lost(session)
        self.routing.gone(session)

    def overflowed(self, session: ChatSession) -> None:
        """Its client acknowledges nothing: what was not sent to it is lost with the session."""
        link, session.link = session.link, None
        self.end(session)
        if link is not None:
            link.session = None
            link.close()

    # -- stanzas -------------------------------------------------------------------------------------

    def take(self, session: ChatSession, stanza: Stanza, now: float) -> None:
        """A stanza or nonza of a client's."""
        if not stanza.is_stanza:
            self._nonza(session, stanza, now)
            return
        session.received.handle(session.received.receive())
        if stanza.from_ is not None and not session.is_called(stanza.from_) and session.link is not None:
            session.link.perform(session.link.stream.close(StreamError(StreamCondition.INVALID_FROM), now=now), now)
            return
        if (stanza.to or "").partition("/")[0].endswith(f"@{self.settings.rooms}"):
            self.rooms.take(session, stanza)
        else:
            self.routing.take(session, stanza)

    def _nonza(self, session: ChatSession, stanza: Stanza, now: float) -> None:
        if stanza.namespace != MANAGEMENT or session.link is None:
            return  # client state: heard, and of no consequence here
        if stanza.name == "r":
            session.link.write(answer(session.received.h))
        elif stanza.name == "a" and session.unacknowledged is not None:
            h = count_of(stanza.attributes)
            try:
                session.unacknowledged.acknowledge(h or 0)
            except StreamError as error:
                session.link.perform(session.link.stream.close(error, now=now), now)
