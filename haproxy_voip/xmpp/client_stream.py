"""The backend's stream, on which we are the client (RFC 6120 sections 4 to 7, XEP-0198).

Sans-I/O. Times are seconds on the caller's monotonic clock. Where the backend is known already three writes log in:
header and auth; response; then header, bind, enable and the opening stanzas together. SASL is never pipelined across
the restart: Prosody 0.12 breaks on that.

Once ready, stanzas and XEP-0198's nonzas are outputs as they come, and the owner writes to the connection itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from haproxy_voip.core.chance import Chance
from haproxy_voip.xmpp import namespaces
from haproxy_voip.xmpp.client_binding import bind_request, bound_jid, failed_bind
from haproxy_voip.xmpp.client_login import Login, State, TlsPolicy
from haproxy_voip.xmpp.client_outputs import (
    ANOTHER_ACCOUNT,
    CLOSED,
    NO_MECHANISM,
    NO_STARTTLS,
    TIMEOUT,
    Authenticated,
    ClientOutput,
    LoginFailed,
    Ready,
    Resumed,
    ResumeFailed,
)
from haproxy_voip.xmpp.client_sasl import ABORT, Climb, Offer, read_failure, refuses_secret
from haproxy_voip.xmpp.closing import CLOSE_SECONDS, encode_error, read_error
from haproxy_voip.xmpp.errors import SaslFailure, StanzaCondition, StreamCondition, StreamError
from haproxy_voip.xmpp.features import Features
from haproxy_voip.xmpp.framing import Framed, Stanza, StreamEnd, StreamFramer, Whitespace
from haproxy_voip.xmpp.header import CLOSING_TAG, StreamHeader
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Enable, Enabled, Failed, Resume
from haproxy_voip.xmpp.namespaces import BIND, MANAGEMENT, SASL, STREAMS, TLS
from haproxy_voip.xmpp.outputs import Ended, StartTls, TlsInfo, Write
from haproxy_voip.xmpp.parser import ParserPool
from haproxy_voip.xmpp.sasl.scram import ClientKey
from haproxy_voip.xmpp.sasl.scram_client import KeyDoesNotFit

__all__ = [
    "Authenticated",
    "ClientOutput",
    "ClientStream",
    "Login",
    "LoginFailed",
    "Ready",
    "ResumeFailed",
    "Resumed",
    "State",
    "TlsPolicy",
]

_STARTTLS: Final = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


class ClientStream:
    """One connection to a backend, for one user. `parsers` should be shared by all streams."""

    __slots__ = (
        "_bind_id",
        "_chance",
        "_climb",
        "_deadline",
        "_enabling",
        "_framer",
        "_key",
        "_offer",
        "features",
        "jid",
        "login",
        "mechanisms",
        "state",
        "tls",
    )

    def __init__(self, login: Login, chance: Chance, parsers: ParserPool | None = None) -> None:
        self.login = login
        self.state = State.IDLE
        self.tls: TlsInfo | None = None
        self.jid = login.jid  # as the server bound it, once ready
        self.mechanisms = login.known_mechanisms  # offered before login
        self.features = login.known_features  # namespaces of what was offered after it
        self._chance = chance
        self._climb = Climb(login, chance)
        self._framer = StreamFramer(login.max_stanza_bytes, parsers)
        self._offer: Offer | None = None  # of mechanisms, once the server told on this connection
        self._key: ClientKey | None = None  # worth keeping, once authenticated
        self._bind_id = ""
        self._enabling = False  # <enable/> is on its way
        self._deadline: float | None = None

    # -- events -------------------------------------------------------------------------------------

    def connected(self, now: float, tls: TlsInfo | None = None) -> list[ClientOutput]:
        """The connection is open (`tls`: and its direct-TLS handshake done)."""
        self.tls, self._deadline = tls, now + self.login.seconds
        return self._open()

    def tls_started(self, tls: TlsInfo, now: float) -> list[ClientOutput]:
        """The handshake asked for by StartTls is done."""
        if self.state is not State.TLS:
            return []
        self.tls = tls
        self._framer.restart(keep=False)  # RFC 6120 section 5.4.3.3
        return self._open()

    def received(self, data: bytes, now: float) -> list[ClientOutput]:
        """Bytes came."""
        if self._is_deaf():
            return []
        framed = self._framer.feed(data)
        if self.state is State.READY and all(map(passes, framed)):
            return framed  # type: ignore[return-value]  # `passes` tells which
        outputs: list[ClientOutput] = []
        try:
            for item in framed:
                outputs += self._take(item)
                if self._is_deaf():
                    break
        except StreamError as error:
            outputs += self._fail(error)
        return outputs

    def bind(
        self, now: float, opening: tuple[bytes, ...] = (), resource: str | None = None, resume: Resume | None = None
    ) -> list[ClientOutput]:
        """Go on from AUTHENTICATED, with what was left open then."""
        if self.state is not State.AUTHENTICATED:
            return []
        jid = self.login.jid if resource is None else self.login.jid.with_resource(resource)
        self.login = replace(self.login, jid=jid, opening=opening, resume=resume or self.login.resume, bind=True)
        self._deadline = now + self.login.seconds
        return self._begin_session(b"")

    def close(self, now: float, error: StreamError | None = None) -> list[ClientOutput]:
        """End the stream in peace: Ended when the server closed too, or after CLOSE_SECONDS; with an error at once.

        The server takes it as the end of the session; a session to be resumed elsewhere is left by closing the
        connection without this.
        """
        if self.state is State.ENDED or (self.state is State.CLOSING and error is None):
            return []
        if error is not None:
            return self._fail(error)
        if self.state in (State.IDLE, State.TLS):
            return self._end(None)
        self._enter(State.CLOSING, now + CLOSE_SECONDS)
        return [Write(CLOSING_TAG)]

    def wake(self, now: float) -> list[ClientOutput]:
        """Act on what is due."""
        if self._deadline is None or now < self._deadline:
            return []
        if self.state is State.CLOSING:
            return self._end(None)
        return self._give_up(LoginFailed(TIMEOUT, True, f"in state {self.state}"))

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due; None while it is the owner's or the server's turn without limit."""
        return self._deadline

    # -- what the server sends ----------------------------------------------------------------------

    def _take(self, item: Framed) -> list[ClientOutput]:
        match item:
            case Stanza(name="error", namespace=namespaces.STREAMS):
                return self._told_error(read_error(item.element()))
            case Stanza(name="features", namespace=namespaces.STREAMS):
                return self._features(Features.read(item.element()))
            case Stanza():
                return self._stanza(item)
            case StreamHeader():
                return self._header(item)
            case Whitespace():
                return [item]
            case StreamEnd():
                return self._closed()
            case StreamError():
                raise item.to_keep()
            case _:
                assert_never(item)

    def _stanza(self, stanza: Stanza) -> list[ClientOutput]:
        match self.state:
            case State.READY | State.CLOSING:
                return [stanza]
            case State.STARTTLS if stanza.namespace == TLS:
                return self._starttls(stanza)
            case State.EXCHANGE if stanza.namespace == SASL:
                return self._sasl(stanza)
            case State.RESUMING if stanza.namespace == MANAGEMENT:
                return self._resumption(stanza)
            case State.BINDING if stanza.name == "iq" and stanza.id == self._bind_id:
                return self._bind_answered(stanza)
            case State.ENABLING if stanza.namespace == MANAGEMENT and stanza.name in ("enabled", "failed"):
                return [self._ready(Enabled.of(stanza.attributes) if stanza.name == "enabled" else None)]
            case State.ENABLING if stanza.is_stanza:
                return [stanza]
            case State.ENDED:
                return []
            case _:
                raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, f"{stanza.name[:80]} while {self.state}")

    def _header(self, header: StreamHeader) -> list[ClientOutput]:
        if not header.version or header.version.startswith("0"):
            raise StreamError(StreamCondition.UNSUPPORTED_VERSION, f"version {header.version[:10]!r}")
        return []

    def _features(self, features: Features) -> list[ClientOutput]:
        match self.state:
            case State.HEADER | State.EXCHANGE:
                self.mechanisms = features.mechanisms or self.mechanisms
                self._offer = Offer(features.mechanisms, self.tls, features.channel_bindings)
                return self._before_login(features) if self.state is State.HEADER else []
            case State.RESTARTED:
                self.features = features.namespaces
                login = self.login
                return self._begin_session(b"") if login.bind or login.resume else [self._authenticated()]
            case _:
                self.features = features.namespaces  # of a session begun already
                return []

    def _before_login(self, features: Features) -> list[ClientOutput]:
        policy = self.login.tls
        if self.tls is None and policy is not TlsPolicy.NEVER and features.starttls:
            self._enter(State.STARTTLS, self._deadline)
            return [Write(_STARTTLS)]
        if self.tls is None and (policy is TlsPolicy.REQUIRED or features.starttls_required):
            return self._give_up(LoginFailed(NO_STARTTLS, True, f"policy {policy}, offered: {features.starttls}"))
        return self._attempt(None)

    def _starttls(self, nonza: Stanza) -> list[ClientOutput]:
        if nonza.name != "proceed":
            return self._give_up(LoginFailed(NO_STARTTLS, True, "the server cannot begin TLS"))
        self._enter(State.TLS, self._deadline)
        return [StartTls(self.login.server_name or self.login.jid.domain)]

    # -- login --------------------------------------------------------------------------------------

    def _open(self) -> list[ClientOutput]:
        """Send the header, and with it the first attempt where it is known what the server will offer."""
        header = self._opening()
        protected = self.tls is not None or self.login.tls is TlsPolicy.NEVER
        if protected and self.login.known_mechanisms:
            auth = self._climb.attempt(Offer(self.login.known_mechanisms, self.tls, certain=False))
            if auth is not None:
                self._enter(State.EXCHANGE, self._deadline)
                return [Write(header + auth)]
        self._enter(State.HEADER, self._deadline)
        return [Write(header)]

    def _attempt(self, failure: SaslFailure | None) -> list[ClientOutput]:
        """Up one rung of the ladder; `failure` is what the last one came to."""
        offer = self._offer or Offer(self.login.known_mechanisms, self.tls, certain=False)
        auth = self._climb.attempt(offer)
        if auth is not None:
            self._enter(State.EXCHANGE, self._deadline)
            return [Write(auth)]
        if failure is None:
            return self._give_up(LoginFailed(NO_MECHANISM, True, " ".join(offer.mechanisms)))
        return self._give_up(LoginFailed(failure.condition, not refuses_secret(failure.condition), failure.text))

    def _sasl(self, nonza: Stanza) -> list[ClientOutput]:
        said = nonza.element()
        match nonza.name:
            case "challenge":
                try:
                    return [Write(self._climb.respond(said))]
                except (SaslFailure, KeyDoesNotFit):
                    return [Write(ABORT)]  # section 6.4.4: the server answers with a failure, `aborted`
            case "success":
                try:
                    self._key = self._climb.succeed(said)
                except SaslFailure as failure:
                    return self._give_up(LoginFailed(failure.condition, True, failure.text))
                return self._logged_in()
            case _:
                told = read_failure(said)
                if self._climb.fail(told.condition):
                    return self._attempt(told)
                return self._give_up(LoginFailed(told.condition, True, told.text))

    def _logged_in(self) -> list[ClientOutput]:
        self._framer.restart()
        header = self._opening()
        if not self.login.bind:
            self._enter(State.RESTARTED, self._deadline)
            return [Write(header)]
        authenticated = Authenticated(self._climb.mechanism, self._key)
        if BIND in self.features:
            return [authenticated, *self._begin_session(header)]
        self._enter(State.RESTARTED, self._deadline)
        return [authenticated, Write(header)]

    def _authenticated(self) -> Authenticated:
        self._enter(State.AUTHENTICATED, None)
        return Authenticated(self._climb.mechanism, self._key)

    # -- session ------------------------------------------------------------------------------------

    def _begin_session(self, opening: bytes) -> list[ClientOutput]:
        """Resume or bind, in one write with the stream's `opening`."""
        if self.login.resume is None:
            return self._bind(opening)
        if MANAGEMENT not in self.features:
            return self._not_resumed(Failed(StanzaCondition.FEATURE_NOT_IMPLEMENTED), opening)
        self._enter(State.RESUMING, self._deadline)
        return [Write(opening + self.login.resume.encode())]

    def _bind(self, opening: bytes) -> list[ClientOutput]:
        login = self.login
        self._bind_id = self._chance.token()
        self._enabling = login.management and MANAGEMENT in self.features
        enable = Enable(resume=True).encode() if self._enabling else b""
        self._enter(State.BINDING, self._deadline)
        return [Write(opening + bind_request(self._bind_id, login.jid.resource) + enable + b"".join(login.opening))]

    def _resumption(self, nonza: Stanza) -> list[ClientOutput]:
        resumed = Resume.of(nonza.attributes) if nonza.name == "resumed" else None
        if resumed is None:
            return self._not_resumed(Failed.of(nonza.element()), b"")
        self._enter(State.READY, None)
        return [Resumed(resumed.previd, resumed.h)]

    def _not_resumed(self, failed: Failed, opening: bytes) -> list[ClientOutput]:
        """Bind instead, unless that was not wanted yet."""
        self.login = replace(self.login, resume=None)
        return [ResumeFailed(failed), *(self._bind(opening) if self.login.bind else [self._authenticated()])]

    def _bind_answered(self, answer: Stanza) -> list[ClientOutput]:
        jid = bound_jid(answer)
        if jid is None:
            return self._give_up(failed_bind(answer))
        if jid.bare != Jid.parse(str(self.login.jid.bare)):
            # A server that passes over the authorization identity of an administrator logs the administrator in.
            return self._give_up(LoginFailed(ANOTHER_ACCOUNT, True, str(jid.bare)))
        self.jid = jid
        if not self._enabling:
            return [self._ready(None)]
        self._enter(State.ENABLING, self._deadline)
        return []

    def _ready(self, enabled: Enabled | None) -> Ready:
        self._enter(State.READY, None)
        return Ready(self.jid, enabled)

    # -- the end ------------------------------------------------------------------------------------

    def _told_error(self, error: StreamError) -> list[ClientOutput]:
        failed = self._failed_by(LoginFailed(error.condition, True, error.text))
        return [Write(CLOSING_TAG), *failed, *self._end(error, by_peer=True)]

    def _closed(self) -> list[ClientOutput]:
        if self.state is State.CLOSING:
            return self._end(None)
        failed = self._failed_by(LoginFailed(CLOSED, True))
        return [Write(CLOSING_TAG), *failed, *self._end(None, by_peer=True)]

    def _fail(self, error: StreamError) -> list[ClientOutput]:
        """Tell the server what is wrong with what it sent, and end (section 4.9.1.1)."""
        told: list[ClientOutput] = [Write(encode_error(error) + CLOSING_TAG)] if self._may_write else []
        failed = self._failed_by(LoginFailed(error.condition, True, error.text))
        return [*told, *failed, *self._end(error.to_keep())]

    def _give_up(self, failed: LoginFailed) -> list[ClientOutput]:
        told: list[ClientOutput] = [Write(CLOSING_TAG)] if self._may_write else []
        return [*told, failed, *self._end(None)]

    def _failed_by(self, failed: LoginFailed) -> list[ClientOutput]:
        return [] if self.state in (State.READY, State.CLOSING) else [failed]

    def _is_deaf(self) -> bool:
        """What comes now has no protection yet, or nobody to hear it."""
        return self.state in (State.TLS, State.ENDED)

    @property
    def _may_write(self) -> bool:
        return self.state not in (State.IDLE, State.TLS)

    def _end(self, error: StreamError | None, *, by_peer: bool = False) -> list[ClientOutput]:
        self._enter(State.ENDED, None)
        return [Ended(error, by_peer)]

    def _opening(self) -> bytes:
        return StreamHeader(self.login.jid.domain, "", "", "1.0", self.login.lang).encode()

    def _enter(self, state: State, deadline: float | None) -> None:
        self.state, self._deadline = state, deadline


def passes(item: Framed) -> bool:
    """Whether it goes through unseen once ready: all but stream errors, features, headers and the end."""
    return (isinstance(item, Stanza) and item.namespace != STREAMS) or isinstance(item, Whitespace)
