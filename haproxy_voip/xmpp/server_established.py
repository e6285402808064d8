"""What goes through on a client's established stream, and what does not."""

from __future__ import annotations

from haproxy_voip.xmpp.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Framed, Stanza, Whitespace
from haproxy_voip.xmpp.management import Failed
from haproxy_voip.xmpp.namespaces import BIND, CLIENT_STATE, MANAGEMENT
from haproxy_voip.xmpp.outputs import Write
from haproxy_voip.xmpp.server_binding import is_setup, once_bound, payload, refusal
from haproxy_voip.xmpp.server_outputs import EnableWanted
from haproxy_voip.xmpp.server_policy import ServerPolicy
from haproxy_voip.xmpp.stanza import result_reply


def passes(item: Framed) -> bool:
    """Whether it goes through unseen. Asked of everything, so it is cheap; the rest is for `once_established`."""
    return (isinstance(item, Stanza) and item.is_stanza and not is_setup(item)) or isinstance(item, Whitespace)


def once_established(stanza: Stanza, policy: ServerPolicy, *, managed: bool) -> Stanza | Write | EnableWanted:
    """Itself where it is the session's, else our answer. Raises StreamError where no client may send it."""
    if stanza.namespace == MANAGEMENT:
        wanted = once_bound(stanza, offered=policy.management, enabled=managed)
        if isinstance(wanted, Failed):
            return Write(wanted.encode())
        return stanza if wanted is None else wanted
    if stanza.is_stanza:
        return _setup_again(stanza)
    if stanza.namespace == CLIENT_STATE:
        return stanza
    if stanza.name in ("message", "presence", "iq"):
        raise StreamError(StreamCondition.INVALID_NAMESPACE, f"{stanza.name} of {stanza.namespace[:80]!r}")
    raise StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, stanza.name[:80])


def _setup_again(stanza: Stanza) -> Stanza | Write:
    asked = payload(stanza)
    if asked is None:
        return stanza
    if asked.namespace == BIND:
        return Write(refusal(stanza, StanzaError(StanzaCondition.NOT_ALLOWED)))
    return Write(result_reply(stanza))  # RFC 6121 section 1.4: a session needs no establishing any more
