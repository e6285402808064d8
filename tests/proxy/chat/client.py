"""A chat client for one test: does what the test says, keeps what it is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.core.events import StreamClosed, StreamData
from haproxy_voip.xmpp.client_stream import ClientStream, Login, LoginFailed, Ready, Resumed, ResumeFailed
from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.management import REQUEST, Received, Unacknowledged, answer
from haproxy_voip.xmpp.outputs import Ended, Write
from haproxy_voip.xmpp.outputs import StartTls as StreamStartTls
from tests.proxy.chat.server import ROOMS

if TYPE_CHECKING:
    from tests.proxy.chat.stage import Stage


@dataclass(eq=False)
class Client:
    """A chat client: logs in, keeps what it is sent, acknowledges unless told otherwise."""

    stage: Stage
    name: str
    login: Login
    flow: Flow
    stream: ClientStream
    inbox: list[Stanza] = field(default_factory=list)
    jid: str = ""
    resumable: str | None = None
    received: Received = field(default_factory=Received)
    sent: Unacknowledged[bytes] = field(default_factory=Unacknowledged)
    error: StreamError | None = None
    failed: LoginFailed | None = None
    ended: bool = False
    cut: bool = False
    resumed: bool = False
    acknowledges: bool = True
    paused: bool = False
    count: int = 0

    # -- what it does -------------------------------------------------------------------------------

    def send(self, raw: str | bytes) -> None:
        data = raw.encode() if isinstance(raw, str) else raw
        if self.resumable is not None and data.startswith((b"<message", b"<presence", b"<iq")):
            self.sent.push(data, len(data))
        self.stage.feed(StreamData(data, self.flow))

    def say(self, to: str, text: str, *, kind: str = "chat", id: str | None = None) -> str:
        self.count += 1
        id = id or f"{self.name}-{self.count}"
        self.send(f"<message to='{to}' type='{kind}' id='{id}'><body>{text}</body></message>")
        return id

    def ask(self, payload: str, to: str = "", kind: str = "get") -> str:
        self.count += 1
        address = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{self.name}-{self.count}'{address}>{payload}</iq>")
        return f"{self.name}-{self.count}"

    def join(self, room: str, nick: str | None = None) -> str:
        address = f"{room}@{ROOMS}"
        self.send(
            f"<presence to='{address}/{nick or self.name}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
        return address

    def acknowledge(self) -> None:
        self.send(answer(self.received.h))

    def break_off(self) -> None:
        """Its connection is lost, with what is on the way."""
        self.cut = True
        self.stage.feed(StreamClosed(self.flow, "connection reset"))

    # -- what it got --------------------------------------------------------------------------------

    def said(self, of: str = "message") -> list[str]:
        """What it was told in messages, in order."""
        return [m.group(1).decode() for one in self.inbox for m in [re.search(rb"<body>(.*?)</body>", one.raw)] if m]

    def take(self, name: str | None = None) -> list[Stanza]:
        """Empty the inbox."""
        taken = [one for one in self.inbox if name is None or one.name == name]
        self.inbox = [one for one in self.inbox if one not in taken]
        return taken

    def acknowledged(self) -> int:
        """How many of its stanzas the proxy says it has handled."""
        self.stage.feed(StreamData(REQUEST, self.flow))
        return self.sent.acknowledged

    # -- bytes --------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        self.perform(self.stream.received(data, self.stage.now))

    def perform(self, outputs: list[object]) -> None:
        for item in outputs:
            match item:
                case Write(data):
                    self.stage.feed(StreamData(data, self.flow))
                case StreamStartTls():
                    pass  # the stage tells both sides
                case Ready(jid, enabled):
                    self.jid = str(jid)
                    self.resumable = None if enabled is None else enabled.id
                case Resumed(_, h):
                    self.resumed = True
                    self.sent.acknowledge(h)
                    for raw in self.sent.pending():
                        self.stage.feed(StreamData(raw, self.flow))
                case ResumeFailed():
                    self.received, self.sent = Received(), Unacknowledged()
                case LoginFailed():
                    self.failed = item
                case Stanza():
                    self.stanza(item)
                case Ended(error):
                    self.error, self.ended = error, True
                case _:
                    pass

    def stanza(self, stanza: Stanza) -> None:
        if not stanza.is_stanza:
            if stanza.name == "r" and self.acknowledges:
                self.acknowledge()
            elif stanza.name == "a":
                self.sent.acknowledge(int(stanza.attributes["h"]))
            return
        self.received.handle(self.received.receive())
        self.inbox.append(stanza)
        if stanza.name == "iq" and stanza.type == "set" and b"jabber:iq:roster" in stanza.raw:
            self.send(f"<iq type='result' id='{stanza.id}'/>")
