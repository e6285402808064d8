"""Start tags as bytes."""

import pytest

from haproxy_voip.xmpp.tag import TagEnd, attributes, declare, end_of_name, end_of_tag, qualified_name
from tests.xmpp.samples import AWKWARD, MESSAGE, PRESENCE


@pytest.mark.parametrize(
    "tag", [b"<a>", b"<a/>", b"<a b='>'>", b'<a b=">\'">', b"<p:a \n b = '\"/>'\t/>", b"<a b='' c=\"\" >"]
)
def test_a_tag_ends_at_the_first_gt_outside_quotes(tag: bytes) -> None:
    assert end_of_tag(tag + b"<b/>") == len(tag)
    for size in (1, 2, len(tag)):
        tag_end, held, found = TagEnd(0), bytearray(), -1
        for at in range(0, len(tag), size):
            assert found < 0
            held += tag[at : at + size]
            found = tag_end.find(held)
        assert found == len(tag)


@pytest.mark.parametrize("data", [b"", b"a", b"<", b"<a", b"<a b='>", b"< a>", b"</a>"])
def test_no_start_tag_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="no start tag"):
        end_of_tag(data)


def test_names_keep_their_prefix() -> None:
    assert qualified_name(b"<c:message xmlns:c='jabber:client'/>") == b"c:message"
    assert qualified_name(PRESENCE) == b"presence" and end_of_name(PRESENCE) == 9
    with pytest.raises(ValueError, match="no start tag"):
        end_of_name(b"x")


def test_attributes_are_those_of_the_start_tag() -> None:
    def names(raw: bytes) -> list[bytes]:
        return [name for name, _, _ in attributes(raw, end_of_tag(raw))]

    assert names(MESSAGE) == [b"from", b"id", b"to", b"type", b"xml:lang"]
    assert names(AWKWARD) == [b"to", b"id", b"type"]
    assert names(b"<a><b c='d'/></a>") == []


def test_only_namespaces_that_are_used_and_not_declared_are_added() -> None:
    known = {"": "urn:a", "p": "urn:p", "q": "urn:q'"}
    assert declare(b"<b/>", known) == b"<b xmlns='urn:a'/>"
    assert declare(b"<b xmlns='c'><q:d/></b>", known) == b"<b xmlns:q='urn:q&apos;' xmlns='c'><q:d/></b>"
    assert declare(b"<p:b xmlns:p='c' xmlns=''/>", known) == b"<p:b xmlns:p='c' xmlns=''/>"
