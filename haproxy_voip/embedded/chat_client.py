"""A small chat client: logs in, talks, is in rooms, acknowledges, resumes its session when its connection is lost.

Sans-I/O. `connect` first; it then comes back by itself until `leave`. What it sends while it has no connection waits,
and goes with the rest of what the server had not acknowledged.
"""

from __future__ import annotations

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, NetworkEvent, StreamClosed, StreamData, StreamOpened
from haproxy_voip.embedded.chat_facts import (
    ClientAcknowledged,
    ClientAnswered,
    ClientHeard,
    ClientLost,
    ClientOffline,
    ClientOnline,
    ClientOutput,
    ClientRefused,
    ClientResumed,
    ClientSaw,
    ClientTurnedAway,
)
from haproxy_voip.embedded.settings import ChatClientSettings
from haproxy_voip.proxy.effects import StartTls
from haproxy_voip.proxy.events import TlsStarted
from haproxy_voip.xmpp import outputs
from haproxy_voip.xmpp.client_stream import (
    Authenticated,
    ClientStream,
    Login,
    LoginFailed,
    Ready,
    Resumed,
    ResumeFailed,
    State,
    TlsPolicy,
)
from haproxy_voip.xmpp.client_stream import ClientOutput as StreamOutput
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import StanzaCondition, StanzaError, StreamError
from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import REQUEST, Received, Resume, Unacknowledged, answer, count_of
from haproxy_voip.xmpp.namespaces import CARBONS, CLIENT, DELAY, STANZA_ERRORS
from haproxy_voip.xmpp.sasl.ladder import ByPassword
from haproxy_voip.xmpp.stanza import error_reply, result_reply

ClientEvent = NetworkEvent | TlsStarted

MUC = "http://jabber.org/protocol/muc"
PING = b"urn:xmpp:ping"
FORWARD = "urn:xmpp:forward:0"
# Said without a session; more is refused at once.
MAX_WAITING = 1_000


class ChatClient:
    """See the module."""

    def __init__(self, settings: ChatClientSettings, chance: Chance) -> None:
        self.settings = settings
        self.jid = ""  # as bound; "" without a session
        self.rooms: dict[str, str] = {}  # address to nick: where it is, or wants to be
        self.available = True
        self.received = Received()
        self.unacknowledged: Unacknowledged[tuple[str, bytes]] | None = None  # id ("" for other stanzas), bytes
        self._chance = chance
        self._wanted = False
        self._stream: ClientStream | None = None
        self._flow: Flow | None = None
        self._connections = 0
        self._name: str | None = None  # what the session can be resumed by
        self._retry_at: float | None = None
        self._waiting: list[tuple[str, bytes]] = []  # said without a session
        self._outputs: list[ClientOutput] = []

    # -- what it does --------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether what is said goes out at once."""
        return self._stream is not None and self._stream.state is State.READY

    def connect(self, now: float) -> list[ClientOutput]:
        """Log in, and stay."""
        self._wanted = True
        if self._stream is None:
            self._open()
        return self._take()

    def leave(self, now: float) -> list[ClientOutput]:
        """Log out."""
        self._wanted, self._retry_at = False, None
        if self._stream is not None:
            if self.online and self.unacknowledged is not None:
                self._write(answer(self.received.h))  # so that nothing is kept which we have (XEP-0198 section 7)
            self._perform(self._stream.close(now), now)
        return self._take()

    def say(self, to: str, text: str, now: float, *, kind: str = "chat", id: str = "") -> list[ClientOutput]:
        """A message; in a room with kind "groupchat". `text` holds no markup."""
        id = id or self._chance.token()
        said = Element("body", text=text)
        self._send(id, Element("message", attributes={"to": to, "type": kind, "id": id}, children=(said,)).encode())
        return self._take()

    def ask(self, to: str, payload: str, now: float, *, id: str) -> list[ClientOutput]:
        """A request of type get; `payload` is serialised."""
        start = Element("iq", attributes={"to": to, "type": "get", "id": id}).encode()
        self._send("", start.removesuffix(b"/>") + b">" + payload.encode() + b"</iq>")
        return self._take()

    def enter(self, room: str, nick: str, now: float) -> list[ClientOutput]:
        """A room, now and again with every new session."""
        self.rooms[room] = nick
        if self.online:
            self._send("", _entering(room, nick))
        return self._take()

    def exit(self, room: str, now: float) -> list[ClientOutput]:
        """A room."""
        nick = self.rooms.pop(room, None)
        if nick is not None and self.online:
            self._send("", Element("presence", attributes={"to": f"{room}/{nick}", "type": "unavailable"}).encode())
        return self._take()

    def send(self, raw: bytes, now: float) -> list[ClientOutput]:
        """Any stanza."""
        self._send("", raw)
        return self._take()

    # -- the machine ---------------------------------------------------------------------------------

    def receive(self, event: ClientEvent, now: float) -> list[ClientOutput]:
        """Take one event. What is about a connection given up is nobody's."""
        stream = self._stream
        if isinstance(event, Datagram) or stream is None or event.flow != self._flow:
            return []
        match event:
            case StreamOpened():
                self._perform(stream.connected(now), now)
            case StreamData(data):
                self._perform(stream.received(data, now), now)
            case TlsStarted(_, binding):
                self._perform(stream.tls_started(outputs.TlsInfo(binding), now), now)
            case StreamClosed(_, reason):
                self._gone(reason, now)
        return self._take()

    def wake(self, now: float) -> list[ClientOutput]:
        """Act on what is due."""
        if self._retry_at is not None and now >= self._retry_at:
            self._open()
        if self._stream is not None:
            self._perform(self._stream.wake(now), now)
        return self._take()

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        at = None if self._stream is None else self._stream.deadline
        return self._retry_at if at is None else at

    # -- connections ---------------------------------------------------------------------------------

    def _open(self) -> None:
        settings = self.settings
        self._retry_at = None
        self._connections += 2
        local = Address(settings.host, 0)
        self._flow = Flow(Transport.TCP, local, settings.server.address, self._connections)
        resume = None if self._name is None else Resume(self._name, self.received.h)
        login = Login(
            jid=Jid(settings.user, settings.domain, settings.resource),
            ways=(ByPassword(settings.password),),
            tls=TlsPolicy.REQUIRED if settings.secure else TlsPolicy.NEVER,
            management=settings.management,
            resume=resume,
        )
        self._stream = ClientStream(login, self._chance)
        self._outputs.append(Open(self._flow))

    def _gone(self, reason: str, now: float) -> None:
        """The connection is over, whoever ended it."""
        self._stream = self._flow = None
        if self.jid:
            self._outputs.append(ClientOffline(self.jid, reason, self._name is not None))
        if self._name is None:
            self._forget_session()
        if self._wanted:
            self._retry_at = now + self.settings.retry_after

    def _forget_session(self) -> None:
        if not self.jid:
            return
        left = [] if self.unacknowledged is None else self.unacknowledged.clear()
        self._outputs.append(ClientLost(self.jid, tuple(id for id, _ in left if id)))
        self.jid, self._name = "", None
        self.received, self.unacknowledged = Received(), None

    # -- what the stream says ------------------------------------------------------------------------

    def _perform(self, told: list[StreamOutput], now: float) -> None:
        for item in told:
            flow = self._flow
            if flow is None:
                return
            match item:
                case Stanza():
                    # What comes after our closing tag is not acknowledged any more, so it is the server's to keep.
                    if self._wanted:
                        self._stanza(item, now)
                case outputs.Write(data):
                    self._outputs.append(Send(flow, data))
                case outputs.StartTls(server_name):
                    self._outputs.append(StartTls(flow, server_name))
                case outputs.Ended(error):
                    self._ended(error, flow, now)
                case Authenticated() | Whitespace():
                    pass
                case _:
                    self._negotiated(item)

    def _negotiated(self, item: Ready | Resumed | ResumeFailed | LoginFailed) -> None:
        match item:
            case Ready(jid, enabled):
                self._begin(str(jid), None if enabled is None else enabled.id, managed=enabled is not None)
            case Resumed(_, h):
                self._go_on(h)
            case ResumeFailed(failed):
                if failed.h is not None:
                    self._acknowledged(failed.h)
                self._forget_session()
            case LoginFailed(condition, temporary):
                self._wanted = self._wanted and temporary
                self._outputs.append(ClientTurnedAway(self.settings.user, condition, temporary))

    def _begin(self, jid: str, name: str | None, *, managed: bool) -> None:
        self._forget_session()
        self.jid, self._name = jid, name
        self.received, self.unacknowledged = Received(), Unacknowledged() if managed else None
        self._outputs.append(ClientOnline(jid))
        self._send("", f"<iq type='set' id='{self._chance.token()}'><enable xmlns='{CARBONS}'/></iq>".encode())
        if self.available:
            self._send("", b"<presence/>")
        for room, nick in self.rooms.items():
            self._send("", _entering(room, nick))
        waiting, self._waiting = self._waiting, []
        for id, raw in waiting:
            self._send(id, raw)

    def _go_on(self, h: int) -> None:
        self._acknowledged(h)
        self._outputs.append(ClientResumed(self.jid))
        assert self.unacknowledged is not None
        for _, raw in self.unacknowledged.pending():
            self._write(raw)
        if len(self.unacknowledged):
            self._write(REQUEST)

    def _ended(self, error: StreamError | None, flow: Flow, now: float) -> None:
        """The stream is over by its rules, and so is the session."""
        self._outputs.append(Close(flow))
        self._name = None
        self._gone("closed" if error is None else str(error), now)

    # -- stanzas -------------------------------------------------------------------------------------

    def _send(self, id: str, raw: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING or (self.unacknowledged is not None and self.unacknowledged.full):
            self._outputs.append(ClientRefused(self.jid, id, StanzaCondition.RESOURCE_CONSTRAINT))
            return
        if not self.jid:
            self._waiting.append((id, raw))
            return
        if self.unacknowledged is not None:
            self.unacknowledged.push((id, raw), len(raw))
        if self.online:
            self._write(raw)
            if self.unacknowledged is not None:
                self._write(REQUEST)

    def _write(self, raw: bytes) -> None:
        assert self._flow is not None
        self._outputs.append(Send(self._flow, raw))

    def _acknowledged(self, h: int) -> None:
        if self.unacknowledged is None:
            return
        ids = tuple(id for id, _ in self.unacknowledged.acknowledge(h) if id)
        if ids:
            self._outputs.append(ClientAcknowledged(self.jid, ids))

    def _stanza(self, stanza: Stanza, now: float) -> None:
        if not stanza.is_stanza:
            if stanza.name == "r":
                self._write(answer(self.received.h))
            elif stanza.name == "a":
                self._acknowledged(count_of(stanza.attributes) or 0)
            return
        self.received.handle(self.received.receive())
        if stanza.name == "message":
            self._message(stanza)
        elif stanza.name == "presence":
            if stanza.type in (None, "unavailable") and stanza.from_:
                self._outputs.append(ClientSaw(self.jid, stanza.from_, stanza.type is None))
        elif stanza.type in ("result", "error"):
            self._outputs.append(ClientAnswered(self.jid, stanza.id or "", stanza.type))
        else:
            unknown = error_reply(stanza, StanzaError(StanzaCondition.SERVICE_UNAVAILABLE))
            self._send("", result_reply(stanza) if PING in stanza.raw or stanza.type == "set" else unknown or b"")

    def _message(self, stanza: Stanza) -> None:
        element = stanza.element()
        if stanza.type == "error":
            error = element.find("error")
            condition = None if error is None else error.in_namespace(STANZA_ERRORS)
            said = "undefined-condition" if condition is None else condition.name
            self._outputs.append(ClientRefused(self.jid, stanza.id or "", said))
            return
        copy = element.in_namespace(CARBONS)
        forwarded = None if copy is None else copy.find("forwarded", FORWARD)
        inside = None if forwarded is None else forwarded.find("message", CLIENT)
        said_in = element if copy is None else inside
        # Section 11 of XEP-0280: copies come from one's own account and from nobody else.
        if said_in is None or (copy is not None and element.get("from") != self.jid.partition("/")[0]):
            return
        self._heard(said_in, carbon=copy is not None)

    def _heard(self, message: Element, *, carbon: bool) -> None:
        body = message.find("body")
        if body is not None:
            delayed = message.in_namespace(DELAY) is not None
            kind, id = message.get("type") or "normal", message.get("id") or ""
            sender = message.get("from") or ""
            self._outputs.append(ClientHeard(self.jid, sender, id, body.text, kind, delayed, carbon))

    def _take(self) -> list[ClientOutput]:
        taken, self._outputs = self._outputs, []
        return taken


def _entering(room: str, nick: str) -> bytes:
    """Without history: who enters anew has heard what it heard."""
    joining = Element("x", MUC, children=(Element("history", MUC, {"maxstanzas": "0"}),))
    return Element("presence", attributes={"to": f"{room}/{nick}"}, children=(joining,)).encode()
