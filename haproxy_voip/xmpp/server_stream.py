"""The client's stream, on which we are the server (RFC 6120 sections 4 to 7, RFC 3921 section 3, XEP-0198).

Sans-I/O. Times are seconds on the caller's monotonic clock. The owner gives every answer about people and places:
who may log in, which resource is free, which session resumes. The order of the steps and their errors are ours.

    question                    answer
    StartTls                    tls_started
    CredentialsWanted           keys, refuse
    Authenticate                accept, refuse
    BindWanted                  bound, bind_refused
    ResumeWanted                resumed, management_failed
    EnableWanted                enabled, management_failed

An answer may be given at once or in any later event; until then what the client sends waits. Once established,
stanzas and white space are outputs as they come, and the owner writes to the connection itself.
"""

from __future__ import annotations

from typing import Final, assert_never

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import ScramKeys
from haproxy_voip.xmpp import namespaces
from haproxy_voip.xmpp.closing import CLOSE_SECONDS, encode_error, read_error
from haproxy_voip.xmpp.errors import (
    SaslCondition,
    SaslFailure,
    StanzaError,
    StreamCondition,
    StreamError,
)
from haproxy_voip.xmpp.framing import UNAUTHENTICATED_MAX_BYTES, Framed, Stanza, StreamEnd, StreamFramer, Whitespace
from haproxy_voip.xmpp.header import CLOSING_TAG, StreamHeader
from haproxy_voip.xmpp.inbox import Inbox
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Enabled, Failed, Resume
from haproxy_voip.xmpp.namespaces import SASL, TLS
from haproxy_voip.xmpp.outputs import Ended, StartTls, TlsInfo, Write
from haproxy_voip.xmpp.parser import ParserPool
from haproxy_voip.xmpp.server_binding import MAX_BIND_ATTEMPTS, before_established, bind_result, refusal
from haproxy_voip.xmpp.server_established import once_established, passes
from haproxy_voip.xmpp.server_opening import after_login, before_login, domain_of
from haproxy_voip.xmpp.server_outputs import (
    Authenticate,
    BindWanted,
    CredentialsWanted,
    EnableWanted,
    ResumeWanted,
    ServerOutput,
)
from haproxy_voip.xmpp.server_policy import ServerPolicy, State
from haproxy_voip.xmpp.server_sasl import Authenticator, authenticator_for

__all__ = [
    "Authenticate",
    "BindWanted",
    "CredentialsWanted",
    "EnableWanted",
    "ResumeWanted",
    "ServerOutput",
    "ServerPolicy",
    "ServerStream",
    "State",
]

_PROCEED: Final = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
_TLS_FAILURE: Final = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


class ServerStream:
    """One client connection. `parsers` should be shared by all streams."""

    __slots__ = (
        "_asked",
        "_authenticator",
        "_bind_attempts",
        "_bind_request",
        "_chance",
        "_deadline",
        "_header_sent",
        "_inbox",
        "_more_features",
        "_policy",
        "_username",
        "domain",
        "jid",
        "lang",
        "managed",
        "state",
        "tls",
    )

    def __init__(
        self,
        policy: ServerPolicy,
        chance: Chance,
        now: float,
        tls: TlsInfo | None = None,
        parsers: ParserPool | None = None,
    ) -> None:
        """`tls` is given at once on a direct-TLS listener."""
        self.state = State.HEADER
        self.domain = ""  # prepared; from the header, once it came
        self.lang = ""  # from the header too: that of every stanza that does not say
        self.jid: Jid | None = None  # bare once authenticated, full once bound
        self.tls = tls
        self.managed = False  # XEP-0198 is enabled
        self._policy = policy
        self._chance = chance
        self._inbox = Inbox(StreamFramer(UNAUTHENTICATED_MAX_BYTES, parsers))
        self._inbox.framer.may_restart = True
        self._asked: type[ServerOutput] | None = None  # the question that waits for its answer
        self._header_sent = False
        self._authenticator: Authenticator | None = None
        self._username = ""  # who claims to be, until accepted
        self._more_features = b""
        self._bind_request: Stanza | None = None
        self._bind_attempts = 0
        self._deadline: float | None = now + policy.negotiation_seconds

    # -- events -------------------------------------------------------------------------------------

    def received(self, data: bytes, now: float) -> list[ServerOutput]:
        """Bytes came."""
        if self.state is State.ESTABLISHED and self._inbox.idle:
            return self._established_batch(self._inbox.framer.feed(data))
        if self.state is State.ENDED or self.state is State.TLS:
            return []  # RFC 6120 section 5.4.3.3: what comes in plain text behind <starttls/> is not to be trusted
        try:
            self._inbox.put(data)
        except StreamError as error:
            return self._fail(error)
        return self._go_on()

    def wake(self, now: float) -> list[ServerOutput]:
        """Act on what is due."""
        if self._deadline is None or now < self._deadline:
            return []
        if self.state is State.CLOSING:
            return self._end(None)
        return self._fail(StreamError(StreamCondition.CONNECTION_TIMEOUT, "not logged in within the time allowed"))

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due; None while established."""
        return self._deadline

    def close(self, error: StreamError | None = None, *, now: float) -> list[ServerOutput]:
        """End the stream: with an error at once, in peace after the client's closing tag or CLOSE_SECONDS."""
        if self.state is State.ENDED or (self.state is State.CLOSING and error is None):
            return []
        if error is not None or self.state is State.TLS:
            return self._end(None) if error is None else self._fail(error)
        opening = self._opening()
        self._enter(State.CLOSING, now + CLOSE_SECONDS)
        self._asked, self._inbox.waiting = None, False
        return [Write(opening + CLOSING_TAG)]

    # -- answers ------------------------------------------------------------------------------------

    def tls_started(self, tls: TlsInfo) -> None:
        """The handshake asked for by StartTls is done."""
        if self.state is State.TLS:
            self.tls, self._header_sent = tls, False
            self._inbox.discard()
            self._enter(State.HEADER, self._deadline)

    def keys(self, keys: ScramKeys | None) -> list[ServerOutput]:
        """Answers CredentialsWanted. None: no such user, or none with keys for this algorithm."""
        if not self._answers(CredentialsWanted):
            return []
        assert self._authenticator is not None
        return [self._authenticator.keys(keys, self._chance.token() + self._chance.token()), *self._go_on()]

    def accept(self, username: str | None = None, features: bytes = b"") -> list[ServerOutput]:
        """Answers Authenticate: logged in, as `username` where that differs.

        `features` are further stream features to tell, serialised: what the backend offers besides ours.
        """
        if not self._answers(Authenticate):
            return []
        assert self._authenticator is not None
        self.jid = Jid(username or self._username, self.domain)
        self._more_features = features
        self._header_sent = False
        framer = self._inbox.framer
        framer.max_bytes = self._policy.max_stanza_bytes
        self._inbox.restart()
        framer.may_restart = False
        self._enter(State.HEADER, self._deadline)
        return [Write(self._authenticator.success()), *self._go_on()]

    def refuse(self, condition: SaslCondition, text: str = "") -> list[ServerOutput]:
        """Answers CredentialsWanted or Authenticate."""
        if not self._answers(CredentialsWanted, Authenticate):
            return []
        try:
            refused = self._sasl_failed(SaslFailure(condition, text))
        except StreamError as error:
            return self._fail(error)
        return [refused, *self._go_on()]

    def bound(self, jid: Jid) -> list[ServerOutput]:
        """Answers BindWanted."""
        if not self._answers(BindWanted):
            return []
        assert self._bind_request is not None
        return [Write(bind_result(self._bind_request, jid)), *self._establish(jid)]

    def bind_refused(self, error: StanzaError) -> list[ServerOutput]:
        """Answers BindWanted; the client may ask for another resource."""
        if not self._answers(BindWanted):
            return []
        assert self._bind_request is not None
        return [Write(refusal(self._bind_request, error)), *self._go_on()]

    def enabled(self, enabled: Enabled) -> list[ServerOutput]:
        """Answers EnableWanted."""
        if not self._answers(EnableWanted):
            return []
        self.managed = True
        return [Write(enabled.encode()), *self._go_on()]

    def resumed(self, resume: Resume, jid: Jid) -> list[ServerOutput]:
        """Answers ResumeWanted; `resume.h` is ours. Then send what the client lacks."""
        if not self._answers(ResumeWanted):
            return []
        self.managed = True
        return [Write(resume.encode("resumed")), *self._establish(jid)]

    def management_failed(self, failed: Failed) -> list[ServerOutput]:
        """Answers EnableWanted or ResumeWanted."""
        if not self._answers(EnableWanted, ResumeWanted):
            return []
        return [Write(failed.encode()), *self._go_on()]

    def _answers(self, *questions: type[ServerOutput]) -> bool:
        """Whether this was asked. An answer that comes after the end is none, one to no question is our mistake."""
        if self.state in (State.CLOSING, State.ENDED):
            return False
        assert self._asked in questions, f"asked {self._asked}, answered {questions}"
        self._asked, self._inbox.waiting = None, False
        return True

    def _ask(self, question: ServerOutput) -> list[ServerOutput]:
        self._asked, self._inbox.waiting = type(question), True
        return [question]

    # -- what the client sends ----------------------------------------------------------------------

    def _go_on(self) -> list[ServerOutput]:
        """Deal with everything that need not wait."""
        outputs: list[ServerOutput] = []
        try:
            while self.state is not State.ENDED and (item := self._inbox.take()) is not None:
                outputs += self._take(item)
            if self._inbox.framer.waits_for_restart and self._asked is None and self.state is not State.ENDED:
                raise StreamError(StreamCondition.BAD_FORMAT, "a stream header without a login before it")
        except StreamError as error:
            outputs += self._fail(error)
        return outputs

    def _take(self, item: Framed) -> list[ServerOutput]:
        match item:
            case Stanza(name="error", namespace=namespaces.STREAMS):
                return self._end(read_error(item.element()), by_peer=True)
            case Stanza():
                return self._stanza(item)
            case StreamHeader():
                return self._begin(item)
            case Whitespace():
                return [item] if self.state is State.ESTABLISHED else []
            case StreamEnd():
                return self._end(None, by_peer=self.state is not State.CLOSING)
            case StreamError():
                raise item.to_keep()
            case _:
                assert_never(item)

    def _stanza(self, stanza: Stanza) -> list[ServerOutput]:
        match self.state:
            case State.PLAINTEXT | State.AUTHENTICATION | State.EXCHANGE:
                return self._unauthenticated(stanza)
            case State.BINDING:
                return self._binding(stanza)
            case State.ESTABLISHED:
                return self._established(stanza)
            case State.CLOSING:
                # Section 4.4: what the client sent before it saw our closing tag still counts.
                return [stanza] if self.jid is not None and self.jid.resource else []
            case State.TLS | State.ENDED:
                return []
            case State.HEADER:
                raise StreamError(StreamCondition.NOT_AUTHORIZED, "a stanza between two streams")
            case _:
                assert_never(self.state)

    def _begin(self, header: StreamHeader) -> list[ServerOutput]:
        domain = domain_of(header, self._policy)
        if self.jid is not None and domain != self.domain:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, "logged in at another domain")
        self.domain, self.lang = domain, header.lang
        opening = self._opening(header.from_)
        if self.jid is not None:
            self._enter(State.BINDING, self._deadline)
            return [Write(opening + after_login(self._policy, self._more_features))]
        plain = self.tls is None and self._policy.tls_required
        self._authenticator = authenticator_for(domain, self._policy, self.tls)
        self._enter(State.PLAINTEXT if plain else State.AUTHENTICATION, self._deadline)
        offered = self._authenticator.offered
        return [Write(opening + before_login(self._policy, offered, protected=self.tls is not None))]

    def _unauthenticated(self, stanza: Stanza) -> list[ServerOutput]:
        assert self._authenticator is not None
        if stanza.namespace == TLS and stanza.name == "starttls":
            return self._starttls()
        if stanza.namespace != SASL:
            raise StreamError(StreamCondition.NOT_AUTHORIZED, f"{stanza.name} before login")
        if self.state is State.PLAINTEXT:
            return [self._sasl_failed(SaslFailure(SaslCondition.ENCRYPTION_REQUIRED))]
        output = self._authenticator.receive(stanza)
        under_way = self._authenticator.under_way
        self._enter(State.EXCHANGE if under_way else State.AUTHENTICATION, self._deadline)
        if isinstance(output, Write):
            return [output]
        self._username = output.username
        return self._ask(output)

    def _starttls(self) -> list[ServerOutput]:
        if self.tls is not None or not self._policy.tls_offered or self.state is State.EXCHANGE:
            # Section 5.4.2.2: "the receiving entity MUST return a <failure/> element ..., close the XML stream".
            self._enter(State.ENDED, None)
            return [Write(_TLS_FAILURE + CLOSING_TAG), Ended()]
        self._inbox.discard()
        self._enter(State.TLS, self._deadline)
        return [Write(_PROCEED), StartTls()]

    def _sasl_failed(self, failure: SaslFailure) -> Write:
        assert self._authenticator is not None
        if self.state is State.EXCHANGE:
            self._enter(State.AUTHENTICATION, self._deadline)
        return self._authenticator.refuse(failure)

    def _binding(self, stanza: Stanza) -> list[ServerOutput]:
        output = before_established(stanza, self._policy)
        if stanza.is_stanza:
            self._bind_request = stanza
            self._bind_attempts += 1
            if self._bind_attempts > MAX_BIND_ATTEMPTS:
                raise StreamError(StreamCondition.POLICY_VIOLATION, "too many attempts to bind")
        return [output] if isinstance(output, Write) else self._ask(output)

    def _establish(self, jid: Jid) -> list[ServerOutput]:
        self.jid, self._bind_request, self._authenticator = jid, None, None
        self._enter(State.ESTABLISHED, None)
        return self._go_on()

    def _established_batch(self, framed: list[Framed]) -> list[ServerOutput]:
        """What goes through as it is, and from the first thing that does not, one by one."""
        for index, item in enumerate(framed):
            if not passes(item):
                self._inbox.put_back(framed[index:])
                return [*framed[:index], *self._go_on()]  # type: ignore[list-item]  # `passes` tells which
        return framed  # type: ignore[return-value]  # the same

    def _established(self, stanza: Stanza) -> list[ServerOutput]:
        output = once_established(stanza, self._policy, managed=self.managed)
        return self._ask(output) if isinstance(output, EnableWanted) else [output]

    # -- the end ------------------------------------------------------------------------------------

    def _opening(self, to: str = "") -> bytes:
        """Our stream header, unless it is sent already."""
        if self._header_sent:
            return b""
        self._header_sent = True
        return StreamHeader(to, self.domain, self._chance.token(), "1.0", "en").encode()

    def _fail(self, error: StreamError) -> list[ServerOutput]:
        """Tell the client what is wrong, and end (section 4.9.1.1)."""
        handshake = self.state is State.TLS
        # 4.9.1.2: an error about the header itself comes behind a header of ours.
        farewell = b"" if handshake else self._opening() + encode_error(error) + CLOSING_TAG
        self._enter(State.ENDED, None)
        ended = Ended(error.to_keep())
        return [ended] if handshake else [Write(farewell), ended]

    def _end(self, error: StreamError | None, *, by_peer: bool = False) -> list[ServerOutput]:
        """The client ended the stream, or let the time for it pass."""
        answered = self.state in (State.CLOSING, State.TLS)
        farewell = b"" if answered else self._opening() + CLOSING_TAG
        self._enter(State.ENDED, None)
        return [Ended(error, by_peer)] if answered else [Write(farewell), Ended(error, by_peer)]

    def _enter(self, state: State, deadline: float | None) -> None:
        self.state, self._deadline = state, deadline
