"""Whom to log in at a backend, and how far that has got."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from haproxy_voip.xmpp.framing import MAX_STANZA_BYTES
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Resume
from haproxy_voip.xmpp.sasl.ladder import Way


class TlsPolicy(StrEnum):
    """STARTTLS towards a backend."""

    REQUIRED = "required"
    OPTIONAL = "optional"  # where it is offered; no PLAIN where it is not
    NEVER = "never"  # the network in between is trusted, PLAIN included


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login at one backend. Durations are seconds."""

    jid: Jid  # with the resource to bind; a bare one leaves it to the server
    ways: tuple[Way, ...]  # tried in order
    tls: TlsPolicy = TlsPolicy.REQUIRED
    server_name: str = ""  # for SNI, and to verify; "" means the domain
    lang: str = ""  # of every stanza that does not say: that of the client's stream; "" leaves it to the server
    # What this backend offered last time, `ClientStream.mechanisms` and `.features`: nothing waits for it to be offered
    # again. Empty: step by step.
    known_mechanisms: tuple[str, ...] = ()
    known_features: frozenset[str] = frozenset()
    bind: bool = True  # False stops once authenticated, for a connection kept in advance, until `bind` is called
    management: bool = True  # enable XEP-0198 with resumption, where it is offered
    resume: Resume | None = None  # try this first, whether bound next or not; `bind` holds where it fails
    opening: tuple[bytes, ...] = ()  # stanzas sent right behind <enable/>, in the same write; counted by XEP-0198
    seconds: float = 10.0  # from `connected` to Ready or Authenticated, and again from `bind`
    max_stanza_bytes: int = MAX_STANZA_BYTES


class State(StrEnum):
    """Where the login is."""

    IDLE = "idle"
    HEADER = "header"  # ours is sent, the server's features have not come
    STARTTLS = "starttls"  # asked for
    TLS = "tls"  # handshake under way
    EXCHANGE = "exchange"  # <auth/> sent
    RESTARTED = "restarted"  # authenticated, header sent again
    AUTHENTICATED = "authenticated"  # and waiting for `bind`
    RESUMING = "resuming"
    BINDING = "binding"
    ENABLING = "enabling"
    READY = "ready"
    CLOSING = "closing"
    ENDED = "ended"
