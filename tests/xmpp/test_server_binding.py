"""Between login and the first stanza (RFC 6120 section 7)."""

import pytest

from haproxy_voip.xmpp.errors import StanzaCondition, StanzaError, StreamError
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Enable, Failed, Resume
from haproxy_voip.xmpp.outputs import Write
from haproxy_voip.xmpp.server_binding import before_established, bind_result, is_setup, once_bound, payload, refusal
from haproxy_voip.xmpp.server_outputs import BindWanted, EnableWanted, ResumeWanted
from tests.xmpp.clients import policy
from tests.xmpp.samples import BIND, MESSAGE, PRESENCE, ROSTER, stanza

RESUME = b"<resume xmlns='urn:xmpp:sm:3' h='3' previd='a'/>"


def test_requests_of_the_set_up_are_told_from_others() -> None:
    assert is_setup(stanza(BIND)) and not any(is_setup(stanza(raw)) for raw in (MESSAGE, PRESENCE, ROSTER))
    mention = stanza(b"<iq type='set' id='1'><x xmlns='urn:x'>urn:ietf:params:xml:ns:xmpp-bind</x></iq>")
    assert is_setup(mention) and payload(mention) is None
    assert payload(stanza(ROSTER)) is None
    assert payload(stanza(b"<iq type='set' id='urn:ietf:params:xml:ns:xmpp-bind'/>")) is None


def test_what_may_be_asked_before_a_resource_is_bound() -> None:
    assert before_established(stanza(BIND), policy()) == BindWanted("balcony")
    assert before_established(stanza(RESUME), policy()) == ResumeWanted(Resume("a", 3))


def test_resuming_where_nothing_can_be_resumed() -> None:
    answer = before_established(stanza(RESUME), policy(management=False))
    assert isinstance(answer, Write) and b"<feature-not-implemented " in answer.data


@pytest.mark.parametrize(
    "raw", [MESSAGE, ROSTER, BIND.replace(b"'set'", b"'get'"), b"<x/>", BIND.replace(b"xmpp-bind", b"xmpp-session")]
)
def test_everything_else_is_not_authorized_yet(raw: bytes) -> None:
    with pytest.raises(StreamError, match="not-authorized"):
        before_established(stanza(raw), policy())


def test_a_resource_is_prepared() -> None:
    wanted = before_established(stanza(BIND.replace(b"balcony", "ﬁ".encode())), policy())
    assert wanted == BindWanted("fi")


def test_answers_carry_the_requests_id() -> None:
    assert b"<jid>a@b/c</jid>" in bind_result(stanza(BIND), Jid("a", "b", "c"))
    told = refusal(stanza(BIND), StanzaError(StanzaCondition.CONFLICT))
    assert b"id='yhc13a95'" in told and b"type='error'" in told


@pytest.mark.parametrize(
    ("name", "enabled", "expected"),
    [
        ("enable", False, EnableWanted(Enable())),
        ("enable", True, Failed("unexpected-request")),
        ("a", True, None),
        ("r", True, None),
        ("r", False, Failed("unexpected-request")),
        ("resume", True, Failed("unexpected-request")),
        ("made-up", True, Failed("unexpected-request")),
    ],
)
def test_stream_management_once_bound(name: str, enabled: bool, expected: object) -> None:
    """XEP-0198 section 3."""
    nonza = stanza(f"<{name} xmlns='urn:xmpp:sm:3' h='0'/>".encode())
    assert once_bound(nonza, offered=True, enabled=enabled) == expected
    assert once_bound(nonza, offered=False, enabled=enabled) == Failed("feature-not-implemented")
