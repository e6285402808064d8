"""One client's connection: its negotiation, and then the session it belongs to.

A client that lost its connection comes back on another leg to the same session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.core.address import Flow, Transport
from haproxy_voip.core.effects import Close, Send
from haproxy_voip.proxy import effects
from haproxy_voip.proxy.chat.accounts import WrongPassword
from haproxy_voip.proxy.chat.session import Session
from haproxy_voip.proxy.chat_facts import ChatRefused
from haproxy_voip.proxy.events import TlsStarted
from haproxy_voip.proxy.facts import AuthenticationFailed
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.errors import SaslCondition, StanzaCondition, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza, Whitespace
from haproxy_voip.xmpp.management import Failed, Resume
from haproxy_voip.xmpp.outputs import Ended, StartTls, TlsInfo, Write
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
    from haproxy_voip.proxy.chat.shared import ChatShared


class ClientLeg:
    """See the module."""

    __slots__ = ("_shared", "ended", "flow", "session", "stream")

    def __init__(self, shared: ChatShared, flow: Flow) -> None:
        self._shared = shared
        self.flow = flow
        self.stream: ServerStream | None = None  # None until a direct-TLS client's certificate hash is known
        self.session: Session | None = None
        self.ended = False  # what is written now, nobody reads

    @property
    def who(self) -> str:
        """The client's address as far as it is known."""
        jid = self.stream.jid if self.stream is not None else None
        return "" if jid is None else str(jid)

    # -- the connection -----------------------------------------------------------------------------

    def opened(self, now: float) -> list[Output]:
        """Accepted."""
        self._shared.legs[self.flow.connection] = self
        if self.flow.transport is Transport.TLS:
            return []  # TlsStarted comes at once
        return self._begin(None, now)

    def tls_started(self, event: TlsStarted, now: float) -> list[Output]:
        """Encrypted."""
        info = TlsInfo(event.binding)
        if self.stream is None:
            return self._begin(info, now)
        self.stream.tls_started(info)
        return []

    def received(self, data: bytes, now: float) -> list[Output]:
        """Bytes came."""
        if self.stream is None:
            return []
        outputs = self._perform(self.stream.received(data, now), now)
        if self.session is not None and not self.ended:
            outputs += self.session.traffic.heard(now)
        return outputs

    def wake(self, now: float) -> list[Output]:
        """The client takes too long to log in, or to say goodbye."""
        return [] if self.stream is None else self._perform(self.stream.wake(now), now)

    def closed(self, reason: str, now: float) -> list[Output]:
        """The connection is gone."""
        self._shared.legs.pop(self.flow.connection, None)
        self._shared.alarms.set(self, None)
        self.ended = True
        session, self.session = self.session, None
        return [] if session is None else session.client_lost(self, reason, now)

    def _begin(self, tls: TlsInfo | None, now: float) -> list[Output]:
        self.stream = ServerStream(self._shared.policy, self._shared.chance, now, tls, self._shared.parsers)
        self._shared.alarms.set(self, self.stream.deadline)
        return []

    # -- answers of the session's -------------------------------------------------------------------

    def write(self, data: bytes) -> list[Output]:
        """Bytes for an established stream."""
        return [] if self.ended else [Send(self.flow, data)]

    def answer(self, told: list[ServerOutput], now: float) -> list[Output]:
        """Carry out what the stream says to an answer it was given."""
        return self._perform(told, now)

    def refuse(self, condition: SaslCondition, reason: str, now: float) -> list[Output]:
        """Not logged in."""
        self.session = None
        assert self.stream is not None
        outputs = self._perform(self.stream.refuse(condition), now)
        return [*outputs, ChatRefused(self.flow, self.who, f"{condition}: {reason}")]

    def end(self, reason: str, now: float) -> list[Output]:
        """Ours was the mistake."""
        return self.close(StreamError(StreamCondition.INTERNAL_SERVER_ERROR, reason), now)

    def close(self, error: StreamError | None, now: float) -> list[Output]:
        """End the stream, with an error unless all is well."""
        if self.stream is None or self.ended:
            return [Close(self.flow)]
        return self._perform(self.stream.close(error, now=now), now)

    # -- what the stream says -----------------------------------------------------------------------

    def _perform(self, told: list[ServerOutput], now: float) -> list[Output]:
        assert self.stream is not None
        outputs: list[Output] = []
        for item in told:
            match item:
                case Stanza():
                    outputs += self._stanza(item, now)
                case Write(data):
                    outputs.append(Send(self.flow, data))
                case StartTls():
                    outputs.append(effects.StartTls(self.flow))
                case Whitespace():
                    pass
                case CredentialsWanted(username, domain, algorithm):
                    keys = self._shared.accounts.keys(username, domain, algorithm)
                    outputs += self._perform(self.stream.keys(keys), now)
                case Authenticate():
                    outputs += self._authenticate(item, now)
                case BindWanted(resource):
                    outputs += self.session.bind(resource, now) if self.session is not None else []
                case ResumeWanted(resume):
                    outputs += self._resume(resume, now)
                case EnableWanted(enable):
                    outputs += self.session.enable(enable, now) if self.session is not None else []
                case Ended(error, by_peer):
                    outputs += self._ended(error, by_peer=by_peer, now=now)
        self._shared.alarms.set(self, None if self.ended else self.stream.deadline)
        return outputs

    def _stanza(self, stanza: Stanza, now: float) -> list[Output]:
        if self.session is None or self.ended:
            return []
        try:
            return self.session.from_client(stanza, now)
        except StreamError as error:
            return self.close(error, now)

    def _authenticate(self, attempt: Authenticate, now: float) -> list[Output]:
        if len(self._shared.sessions) >= self._shared.config.limits.max_chats:
            return self.refuse(SaslCondition.TEMPORARY_AUTH_FAILURE, "limits.max_chats is reached", now)
        if attempt.password is not None and (self.stream is None or self.stream.tls is None):
            return self.refuse(SaslCondition.ENCRYPTION_REQUIRED, "a password without TLS", now)
        try:
            account = self._shared.accounts.account(attempt)
        except WrongPassword:
            refused = self.refuse(SaslCondition.NOT_AUTHORIZED, "wrong password", now)
            return [*refused, AuthenticationFailed(attempt.username, self.flow, "wrong password")]
        self.session = Session(self._shared, self, account)
        return self.session.begin(now)

    def _resume(self, resume: Resume, now: float) -> list[Output]:
        """The client asks for a session it had before (XEP-0198 section 5)."""
        assert self.stream is not None
        found = self._shared.sessions.resumable(resume.previd)
        asking = self.session
        if found is None or asking is None or not found.belongs_to(asking.account):
            condition = StanzaCondition.ITEM_NOT_FOUND
            return self._perform(self.stream.management_failed(Failed(condition)), now)
        outputs = asking.give_way(now)
        self.session = found
        return outputs + found.resume(self, resume, now)

    def _ended(self, error: StreamError | None, *, by_peer: bool, now: float) -> list[Output]:
        self.ended = True
        outputs: list[Output] = [Close(self.flow)]
        if error is not None:
            outputs.append(ChatRefused(self.flow, self.who, str(error)))
        session, self.session = self.session, None
        if session is None:
            return outputs
        reason = "the client left" if error is None else str(error)
        return [*outputs, *session.end(reason, now)]
