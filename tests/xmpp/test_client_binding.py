"""Binding a resource, as the client (RFC 6120 section 7)."""

import pytest

from haproxy_voip.xmpp.client_binding import bind_request, bound_jid, failed_bind
from haproxy_voip.xmpp.client_outputs import LoginFailed
from haproxy_voip.xmpp.jid import Jid
from tests.xmpp.samples import stanza

BIND = b"<iq type='result' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>%b</bind></iq>"
ERROR = b"<iq type='error' id='1'><error type='%b'><%b xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>%b</error></iq>"


def test_a_resource_is_asked_for_or_left_to_the_server() -> None:
    assert bind_request("1", "a<b").count(b"<resource>a&lt;b</resource>") == 1
    assert bind_request("1", "").endswith(b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")


def test_the_result_says_what_was_bound() -> None:
    assert bound_jid(stanza(BIND % b"<jid>juliet@im.example.com/x</jid>")) == Jid("juliet", "im.example.com", "x")


@pytest.mark.parametrize(
    "raw", [BIND % b"", BIND % b"<jid>a@</jid>", b"<iq type='result' id='1'/>", ERROR % (b"wait", b"gone", b"")]
)
def test_what_is_no_result(raw: bytes) -> None:
    assert bound_jid(stanza(raw)) is None


def test_why_it_failed() -> None:
    """RFC 6120 section 7.7.2."""
    text = b"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>full</text>"
    limit = failed_bind(stanza(ERROR % (b"wait", b"resource-constraint", text)))
    assert limit == LoginFailed("resource-constraint", True, "full")
    assert failed_bind(stanza(ERROR % (b"auth", b"forbidden", b""))) == LoginFailed("forbidden", False)
    assert failed_bind(stanza(b"<iq type='error' id='1'/>")) == LoginFailed("undefined-condition", True)
