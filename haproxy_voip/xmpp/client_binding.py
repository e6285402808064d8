"""Binding a resource, as the client (RFC 6120 section 7)."""

from __future__ import annotations

from haproxy_voip.xmpp.client_outputs import LoginFailed
from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import ErrorType, StanzaCondition
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.namespaces import BIND, CLIENT, STANZA_ERRORS


def bind_request(id: str, resource: str) -> bytes:
    """`resource` "" leaves it to the server."""
    wanted = (Element("resource", BIND, text=resource),) if resource else ()
    bind = Element("bind", BIND, children=wanted)
    return Element("iq", CLIENT, {"type": "set", "id": id}, (bind,)).encode()


def bound_jid(answer: Stanza) -> Jid | None:
    """The full address of a result; None when the answer is no such result."""
    bind = answer.element().find("bind", BIND) if answer.type == "result" else None
    jid = None if bind is None else bind.find("jid")
    try:
        return None if jid is None else Jid.parse(jid.text.strip())
    except ValueError:
        return None


def failed_bind(answer: Stanza) -> LoginFailed:
    """What an answer that is no result says. Nothing about the credentials: those were accepted."""
    error = answer.element().find("error")
    condition = None if error is None else error.in_namespace(STANZA_ERRORS)
    said = StanzaCondition.UNDEFINED_CONDITION if condition is None else condition.name
    # not-allowed and the like: the account may log in and have no session here.
    temporary = error is None or error.get("type") != ErrorType.AUTH
    text = None if error is None else error.find("text", STANZA_ERRORS)
    return LoginFailed(said, temporary, "" if text is None else text.text)
