"""Trees of the few stanzas that must be understood."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.xmpp.element import Element, parse_element
from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.parser import MAX_ATTRIBUTES, MAX_DEPTH
from tests.xmpp.samples import AWKWARD, MESSAGE, STANZAS

NAMES = st.sampled_from(["a", "body", "x-y", "é"])
NAMESPACES = st.sampled_from(["jabber:client", "urn:a", "urn:'b'&<"])
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["to", "id", "http://www.w3.org/XML/1998/namespace lang", "urn:c y"]), TEXTS, max_size=4
)
ELEMENTS = st.recursive(
    st.builds(Element, NAMES, NAMESPACES, ATTRIBUTES, st.just(()), TEXTS),
    lambda inner: st.builds(Element, NAMES, NAMESPACES, ATTRIBUTES, st.lists(inner, max_size=3).map(tuple), TEXTS),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(ELEMENTS, NAMESPACES)
def test_what_is_written_is_read_back(element: Element, within: str) -> None:
    assert parse_element(element.encode(within), within) == element


@pytest.mark.parametrize("raw", STANZAS)
def test_reading_and_writing_again_keeps_the_meaning(raw: bytes) -> None:
    assert parse_element(parse_element(raw).encode()) == parse_element(raw)


def test_children_are_found_by_name_and_namespace() -> None:
    iq = parse_element(
        b"<iq><query xmlns='urn:a'><item jid='a'/><item jid='b'/></query><error/><x xmlns='urn:b'/></iq>"
    )
    assert iq.find("query") is None
    query = iq.find("query", "urn:a")
    assert query is not None and [item.get("jid") for item in query.all("item")] == ["a", "b"]
    assert iq.in_namespace("urn:b") == Element("x", "urn:b") and iq.in_namespace("urn:c") is None
    assert query.get("ver") is None and query.get("ver", "") == ""


def test_text_is_all_there_is_directly_inside() -> None:
    element = parse_element(AWKWARD)
    body = element.find("body")
    assert body is not None and body.text == "/> a > b <x></message> ☺ ☺" and element.text == "/>"


@pytest.mark.parametrize("end", range(len(MESSAGE)))
def test_no_prefix_is_an_element(end: int) -> None:
    with pytest.raises(StreamError):
        parse_element(MESSAGE[:end])


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<a/><b/>", "not-well-formed"),
        (b"x<a/>", "not-well-formed"),
        (b"</stream>", "not-well-formed"),
        (b"<a/></stream><a/>", "not-well-formed"),
        (b"<a><!-- x --></a>", "restricted-xml"),
        (b"<a>&x;</a>", "restricted-xml"),
        (b"<a>" * (MAX_DEPTH + 1), "policy-violation"),
        (b"<a " + b" ".join(b"a%d=''" % n for n in range(MAX_ATTRIBUTES + 1)) + b"/>", "policy-violation"),
        (b"<a>\xff</a>", "unsupported-encoding"),
    ],
)
def test_what_a_stream_refuses_is_refused(data: bytes, condition: str) -> None:
    with pytest.raises(StreamError) as caught:
        parse_element(data)
    assert caught.value.condition == condition
