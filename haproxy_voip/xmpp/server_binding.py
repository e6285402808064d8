"""What a client may ask between login and its first stanza (RFC 6120 section 7, RFC 3921 section 3, XEP-0198)."""

from __future__ import annotations

from typing import Final

from haproxy_voip.xmpp.element import Element
from haproxy_voip.xmpp.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid, prepared_resource
from haproxy_voip.xmpp.management import Enable, Failed, Resume
from haproxy_voip.xmpp.namespaces import BIND, MANAGEMENT, SESSION
from haproxy_voip.xmpp.outputs import Write
from haproxy_voip.xmpp.server_outputs import BindWanted, EnableWanted, ResumeWanted
from haproxy_voip.xmpp.server_policy import ServerPolicy
from haproxy_voip.xmpp.stanza import error_reply, result_reply

# RFC 6120 section 7.6.2.1: a server should end the stream of a client that asks "a reasonable number of" times.
MAX_BIND_ATTEMPTS: Final = 10

_SETUP: Final = (BIND.encode(), SESSION.encode())
_UNEXPECTED: Final = Failed(StanzaCondition.UNEXPECTED_REQUEST)


def is_setup(stanza: Stanza) -> bool:
    """Whether it may be a request to bind or to begin a session. Cheap: asked of everything a client sends."""
    return stanza.name == "iq" and stanza.type == "set" and any(namespace in stanza.raw for namespace in _SETUP)


def payload(stanza: Stanza) -> Element | None:
    """The child of an iq set, when it is of one of the two namespaces."""
    if not is_setup(stanza):
        return None
    [child, *_] = stanza.element().children or (Element(""),)
    return child if child.namespace in (BIND, SESSION) else None


def _bind_wanted(bind: Element) -> BindWanted | StanzaError:
    """Section 7.7: the resource the client wants."""
    resource = bind.find("resource")
    if resource is None or not resource.text:
        return BindWanted(None)
    try:
        return BindWanted(prepared_resource(resource.text))
    except ValueError as error:
        return StanzaError(StanzaCondition.BAD_REQUEST, text=str(error))  # 7.7.2.1


def bind_result(request: Stanza, jid: Jid) -> bytes:
    """Section 7.6.1."""
    return result_reply(request, Element("bind", BIND, children=(Element("jid", BIND, text=str(jid)),)).encode())


def refusal(request: Stanza, error: StanzaError) -> bytes:
    """The error a request is answered with."""
    return error_reply(request, error) or b""


def before_established(stanza: Stanza, policy: ServerPolicy) -> BindWanted | ResumeWanted | Write:
    """A question to the owner, or our answer. Raises StreamError at anything that is to wait for a resource."""
    if stanza.namespace == MANAGEMENT:
        wanted = _resume_wanted(stanza, policy)
        return Write(wanted.encode()) if isinstance(wanted, Failed) else wanted
    asked = payload(stanza)
    if asked is None or asked.namespace != BIND:
        # Section 7.1: "the server ... MUST close the stream with a <not-authorized/> stream error".
        raise StreamError(StreamCondition.NOT_AUTHORIZED, f"{stanza.name[:80]} before a resource is bound")
    bind = _bind_wanted(asked)
    return Write(refusal(stanza, bind)) if isinstance(bind, StanzaError) else bind


def _resume_wanted(nonza: Stanza, policy: ServerPolicy) -> ResumeWanted | Failed:
    """XEP-0198 sections 3 and 5: a session may be resumed instead of binding, and nothing enabled before."""
    if not policy.management:
        return Failed(StanzaCondition.FEATURE_NOT_IMPLEMENTED)
    if nonza.name != "resume":
        return _UNEXPECTED
    resume = Resume.of(nonza.attributes)
    return Failed(StanzaCondition.BAD_REQUEST) if resume is None else ResumeWanted(resume)


def once_bound(nonza: Stanza, *, offered: bool, enabled: bool) -> EnableWanted | Failed | None:
    """XEP-0198 on an established stream; None for what the session itself understands: `<a/>` and `<r/>`."""
    if not offered:
        return Failed(StanzaCondition.FEATURE_NOT_IMPLEMENTED)
    if nonza.name == "enable" and not enabled:
        return EnableWanted(Enable.of(nonza.attributes))
    return None if enabled and nonza.name in ("a", "r") else _UNEXPECTED
