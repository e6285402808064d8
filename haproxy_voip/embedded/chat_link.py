"""One connection to the embedded chat server: what is negotiated on it, and whose it is then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.embedded.chat_session import ChatSession
from haproxy_voip.xmpp.errors import SaslCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Enable, Enabled, Failed, Resume
from haproxy_voip.xmpp.outputs import Ended, StartTls, Write
from haproxy_voip.xmpp.server_stream import (
    Authenticate,
    BindWanted,
    CredentialsWanted,
    EnableWanted,
    ResumeWanted,
    ServerOutput,
    ServerStream,
)

if TYPE_CHECKING:
    from haproxy_voip.embedded.chat_server import ChatServer

# Offered after the login besides what the stream offers itself.
FEATURES = b"<csi xmlns='urn:xmpp:csi:0'/><ver xmlns='urn:xmpp:features:rosterver'/>"


class ChatLink:
    """See the module. `session` is None until it is bound or resumed, and when another connection took it."""

    def __init__(self, server: ChatServer, flow: Flow, stream: ServerStream) -> None:
        self.flow = flow
        self.stream = stream
        self.session: ChatSession | None = None
        self._server = server

    def write(self, data: bytes) -> None:
        """To the client."""
        self._server.emit(Send(self.flow, data))

    def close(self) -> None:
        """Once everything written has left."""
        self._server.emit(Close(self.flow))

    def receive(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self.perform(self.stream.received(data, now), now)

    def wake(self, now: float) -> None:
        """The negotiation takes too long, or the farewell."""
        self.perform(self.stream.wake(now), now)

    def end(self, error: StreamError, now: float) -> None:
        """Tell the client why, and close. The session, if there is one, is no longer this connection's."""
        self.session = None
        self.perform(self.stream.close(error, now=now), now)

    def perform(self, outputs: list[ServerOutput], now: float) -> None:
        """Carry out what the stream says."""
        for item in outputs:
            match item:
                case Stanza():
                    if self.session is not None:
                        self._server.take(self.session, item, now)
                case Write(data):
                    self.write(data)
                case Ended():
                    self._server.stream_ended(self, now)
                    self.close()
                case Whitespace() | StartTls():
                    pass  # the latter is not offered
                case _:
                    self._asked(item, now)
        self._server.alarms.set(self, self.stream.deadline)

    def _asked(
        self, item: CredentialsWanted | Authenticate | BindWanted | ResumeWanted | EnableWanted, now: float
    ) -> None:
        stream = self.stream
        match item:
            case CredentialsWanted(username, _, algorithm):
                self.perform(stream.keys(self._server.keys_of(username, algorithm)), now)
            case Authenticate(username, _, _, password):
                if password is None or self._server.passwords.get(username) == password:
                    self._server.logins += 1
                    self.perform(stream.accept(features=FEATURES), now)
                else:
                    self.perform(stream.refuse(SaslCondition.NOT_AUTHORIZED), now)
            case BindWanted(resource):
                self._server.bind(self, resource, now)
            case ResumeWanted(resume):
                self._resume(resume, now)
            case EnableWanted(enable):
                self._enable(enable, now)

    def bound(self, session: ChatSession, now: float) -> None:
        """It is this session's connection."""
        self.session = session
        self.perform(self.stream.bound(Jid.parse(session.jid)), now)

    def _enable(self, enable: Enable, now: float) -> None:
        assert self.session is not None
        settings = self._server.settings
        name = f"{settings.name}{self._server.chance.token()}" if enable.resume and settings.resumable else None
        self.session.manage(name)
        self.perform(self.stream.enabled(Enabled(name, int(settings.resumable))), now)

    def _resume(self, resume: Resume, now: float) -> None:
        session = self._server.resumable(resume.previd, self.stream.jid)
        if session is None:
            self.perform(self.stream.management_failed(Failed("item-not-found")), now)
            return
        assert session.unacknowledged is not None
        try:
            session.unacknowledged.acknowledge(resume.h)
        except StreamError as error:
            self.end(error, now)
            return
        self._server.moves(session, self, now)
        self.session = session
        self.perform(self.stream.resumed(Resume(resume.previd, session.received.h), Jid.parse(session.jid)), now)
        session.send_again()
