"""What we are to clients, and how far one has got."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from haproxy_voip.xmpp.framing import MAX_STANZA_BYTES
from haproxy_voip.xmpp.sasl.scram import MIN_ITERATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPolicy:
    """The same for every client of a listener. Durations are seconds."""

    domains: frozenset[str]  # prepared; a header's `to` must be one of them
    fake_secret: bytes  # keys what unknown users are challenged with; the same on all nodes and over restarts
    usual_iterations: int = MIN_ITERATIONS  # of known users' keys, so that unknown ones do not stand out
    tls_offered: bool = True  # STARTTLS is possible: there are certificates
    tls_required: bool = True  # False allows to log in without TLS, PLAIN included
    mechanisms: tuple[str, ...] = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")  # -PLUS is added where TLS allows it
    plain_only: frozenset[str] = frozenset()  # domains of whose users nothing is known here: PLAIN is passed on
    max_stanza_bytes: int = MAX_STANZA_BYTES
    idle_seconds: int | None = None  # told by XEP-0478; watched by the owner
    negotiation_seconds: float = 60.0  # from connection to established
    management: bool = True  # XEP-0198 is offered


class State(StrEnum):
    """Where the negotiation is."""

    HEADER = "header"  # waiting for a stream header
    PLAINTEXT = "plaintext"  # STARTTLS offered and required: nothing else goes
    TLS = "tls"  # <proceed/> sent, handshake under way
    AUTHENTICATION = "authentication"  # mechanisms offered
    EXCHANGE = "exchange"  # between <auth/> and its outcome
    BINDING = "binding"  # authenticated, no resource yet
    ESTABLISHED = "established"
    CLOSING = "closing"  # we closed, the client has not
    ENDED = "ended"
