"""Small changes to stanzas, and answers to them (RFC 6120 section 8)."""

import pytest

from haproxy_voip.xmpp.element import parse_element
from haproxy_voip.xmpp.errors import ErrorType, StanzaCondition, StanzaError
from haproxy_voip.xmpp.stanza import (
    error_reply,
    insert_child,
    origin_id,
    result_reply,
    set_attributes,
    with_delay,
    with_origin_id,
)
from tests.xmpp.samples import AWKWARD, MESSAGE, PRESENCE, ROSTER, STANZAS, stanza

CHILD = b"<x xmlns='urn:x'/>"


@pytest.mark.parametrize("raw", STANZAS)
def test_attributes_are_set_without_touching_the_rest(raw: bytes) -> None:
    before, after = parse_element(raw), parse_element(set_attributes(raw, {"from": "a'>b@c/d", "id": None}))
    expected = {key: value for key, value in before.attributes.items() if key != "id"} | {"from": "a'>b@c/d"}
    assert after.attributes == expected
    assert (after.name, after.children, after.text) == (before.name, before.children, before.text)


def test_what_does_not_change_keeps_its_bytes() -> None:
    assert set_attributes(AWKWARD, {}) == AWKWARD
    assert set_attributes(PRESENCE, {"to": None}) == PRESENCE
    assert (
        set_attributes(b'<iq  id="a" to=\'b\'  type = "get"/>', {"to": "c"}) == b'<iq to=\'c\'  id="a"  type = "get"/>'
    )


def test_an_attribute_of_a_child_is_left_alone() -> None:
    raw = b"<iq><item id='1'/></iq>"
    assert set_attributes(raw, {"id": "2"}) == b"<iq id='2'><item id='1'/></iq>"


@pytest.mark.parametrize("raw", STANZAS)
def test_a_child_is_added_last(raw: bytes) -> None:
    before, after = parse_element(raw), parse_element(insert_child(raw, CHILD))
    assert after.children == (*before.children, parse_element(CHILD)) and after.text == before.text


def test_an_empty_stanza_gets_its_end_tag() -> None:
    assert insert_child(b"<presence to='a' />", CHILD) == b"<presence to='a'>" + CHILD + b"</presence>"
    assert insert_child(b"<presence></presence>", CHILD) == b"<presence>" + CHILD + b"</presence>"
    assert insert_child(b"<c:iq xmlns:c='jabber:client'/>", b"") == b"<c:iq xmlns:c='jabber:client'></c:iq>"


def test_an_origin_id_is_added_once() -> None:
    """XEP-0359."""
    assert origin_id(stanza(MESSAGE)) is None
    marked = stanza(with_origin_id(stanza(MESSAGE), "o<1"))
    assert origin_id(marked) == "o<1"
    assert with_origin_id(marked, "2") == marked.raw
    assert origin_id(stanza(b"<message><body>urn:xmpp:sid:0</body></message>")) is None


def test_a_delay_says_when_and_who() -> None:
    """XEP-0203."""
    delay = parse_element(with_delay(MESSAGE, "2026-01-31T23:59:59.123Z", "voip.test")).in_namespace("urn:xmpp:delay")
    assert delay is not None
    assert delay.attributes == {"from": "voip.test", "stamp": "2026-01-31T23:59:59.123Z"}


def test_an_error_goes_back_to_the_sender() -> None:
    """RFC 6120 section 8.3.1."""
    raw = error_reply(stanza(MESSAGE), StanzaError(StanzaCondition.RECIPIENT_UNAVAILABLE, text="later"), by="voip.test")
    assert raw is not None
    reply = parse_element(raw)
    assert reply.attributes == {
        "to": "juliet@im.example.com/balcony",
        "from": "romeo@example.net",
        "id": "ju2ba41c",
        "type": "error",
    }
    error = reply.find("error")
    assert error is not None and error.attributes == {"type": "wait", "by": "voip.test"}
    assert [child.name for child in error.children] == ["recipient-unavailable", "text"]
    assert error.children[1].text == "later"


def test_the_type_of_an_error_may_be_chosen() -> None:
    raw = error_reply(stanza(ROSTER), StanzaError(StanzaCondition.GONE, ErrorType.MODIFY))
    assert raw is not None and b"<error type='modify'>" in raw and b" to=" not in raw


@pytest.mark.parametrize(
    "raw",
    [
        b"<message type='error'/>",
        b"<iq type='error' id='1'/>",
        b"<iq type='result' id='1'/>",
        b"<r xmlns='urn:xmpp:sm:3'/>",
    ],
)
def test_no_error_answers_an_error_a_result_or_a_nonza(raw: bytes) -> None:
    """RFC 6120 sections 8.2.3 and 8.3.1."""
    assert error_reply(stanza(raw), StanzaError(StanzaCondition.GONE)) is None


def test_a_result_has_the_requests_id() -> None:
    assert result_reply(stanza(ROSTER)) == b"<iq id='bv1bs71f' type='result'/>"
    assert result_reply(stanza(ROSTER), CHILD) == b"<iq id='bv1bs71f' type='result'>" + CHILD + b"</iq>"
