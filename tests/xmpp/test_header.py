"""Stream headers (RFC 6120 section 4.7)."""

import pytest

from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.header import StreamHeader
from tests.xmpp.samples import HEADER


def test_attributes_of_the_stream() -> None:
    header = StreamHeader.parse(HEADER)
    assert (header.from_, header.to) == ("juliet@im.example.com", "im.example.com")
    assert (header.id, header.version, header.lang) == ("", "1.0", "en")
    assert header.content_namespace == "jabber:client" and header.to_declare == {}
    assert header.name == "stream:stream"


def test_what_is_written_is_read_back() -> None:
    header = StreamHeader("juliet@im.example.com", "im.example.com", "<'&\">", "1.0", "de")
    assert StreamHeader.parse(header.encode()) == header


def test_what_is_not_said_is_not_written() -> None:
    assert b" to=" not in StreamHeader("", "a", "b", "1.0", "").encode()


def test_what_a_slice_needs_declared_elsewhere() -> None:
    header = StreamHeader.parse(
        b"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client' xmlns:a='urn:a' version='1.0'>"
    )
    assert header.name == "s:stream"
    assert header.to_declare == {"s": "http://etherx.jabber.org/streams", "a": "urn:a"}
    bare = StreamHeader.parse(b"<stream xmlns='http://etherx.jabber.org/streams'>")
    assert bare.name == "stream" and bare.to_declare == {"": "http://etherx.jabber.org/streams"}
    none = StreamHeader.parse(b"<s:stream xmlns:s='http://etherx.jabber.org/streams'>")
    assert none.content_namespace == "" and none.to_declare[""] == ""


@pytest.mark.parametrize("end", [0, 1, 20, 40, len(HEADER) - 1])
def test_part_of_a_header_is_none(end: int) -> None:
    with pytest.raises(StreamError, match="not-well-formed"):
        StreamHeader.parse(HEADER[:end])


def test_a_long_namespace_is_refused_at_once() -> None:
    with pytest.raises(StreamError, match="policy-violation"):
        StreamHeader.parse(HEADER[:-1] + b" xmlns:x='" + b"u" * 300 + b"'>")


def test_many_attributes_are_refused() -> None:
    with pytest.raises(StreamError, match="policy-violation"):
        StreamHeader.parse(HEADER[:-1] + b"".join(b" a%d=''" % number for number in range(80)) + b">")
