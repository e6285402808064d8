"""How a client's stream header is judged, and what it is answered with (RFC 6120 sections 4.3 and 4.7)."""

from __future__ import annotations

import re
from typing import Final

from haproxy_voip.xmpp import features
from haproxy_voip.xmpp.errors import StreamCondition, StreamError
from haproxy_voip.xmpp.framing import UNAUTHENTICATED_MAX_BYTES
from haproxy_voip.xmpp.header import StreamHeader
from haproxy_voip.xmpp.jid import prepared_domain
from haproxy_voip.xmpp.namespaces import CLIENT
from haproxy_voip.xmpp.server_policy import ServerPolicy

_VERSION: Final = re.compile(r"[1-9][0-9]{0,3}\.[0-9]{1,4}")


def domain_of(header: StreamHeader, policy: ServerPolicy) -> str:
    """Which of our domains the client wants. Raises StreamError when we cannot talk to it."""
    if CLIENT not in header.namespaces.values():
        raise StreamError(StreamCondition.INVALID_NAMESPACE, "the content namespace is not jabber:client")
    # Section 4.7.5: without a version, or below 1.0, there are neither features nor SASL to log in by.
    if not _VERSION.fullmatch(header.version):
        raise StreamError(StreamCondition.UNSUPPORTED_VERSION, f"version {header.version[:10]!r}")
    if not header.to:
        raise StreamError(StreamCondition.IMPROPER_ADDRESSING, "the stream header has no 'to'")
    try:
        domain = prepared_domain(header.to)
    except ValueError as error:
        raise StreamError(StreamCondition.HOST_UNKNOWN, str(error)) from None
    if domain not in policy.domains:
        raise StreamError(StreamCondition.HOST_UNKNOWN, domain[:80])
    return domain


def before_login(policy: ServerPolicy, offered: tuple[str, ...], *, protected: bool) -> bytes:
    """Stream features for a client we do not know yet. `protected`: TLS is up."""
    # Section 5.3.1: where TLS is required the client is offered nothing else first.
    tls = [] if protected or not policy.tls_offered else [features.starttls(required=policy.tls_required)]
    sasl = features.mechanisms(offered) if offered else []
    return features.encode([*tls, *sasl, features.limits(UNAUTHENTICATED_MAX_BYTES, None)])


def after_login(policy: ServerPolicy, more: bytes) -> bytes:
    """Stream features for a client that has logged in."""
    ours = features.after_login(management=policy.management)
    return features.encode([*ours, features.limits(policy.max_stanza_bytes, policy.idle_seconds)], more)
