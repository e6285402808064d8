"""The parser inside a stream (RFC 6120 section 11)."""

import pytest

from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.parser import (
    MAX_KIND_BYTES,
    MAX_KINDS,
    MAX_NAMES,
    MAX_SPARE,
    USED_UP_NAMES,
    ParserPool,
    Restart,
    StanzaParser,
    create_parser,
    kind_of,
    measure_namespace,
)

KIND = kind_of("stream:stream", {"": "jabber:client", "stream": "http://etherx.jabber.org/streams"})


def many_names(count: int, prefix: str = "n") -> bytes:
    return b"<a>" + "".join(f"<{prefix}{number}/>" for number in range(count)).encode() + b"</a>"


def test_a_kind_is_a_header_of_these_namespaces() -> None:
    assert kind_of("s", {"b": "urn:'b'", "": "a"}) == b"<s xmlns='a' xmlns:b='urn:&apos;b&apos;'>"


def test_children_are_told_by_their_offsets() -> None:
    parser = StanzaParser(KIND)
    parser.parse(b"<a><b/></a><c x='y'/>")
    [first, second] = parser.children
    assert (first.name, first.has_elements, first.start, first.end) == (
        "jabber:client a",
        True,
        len(KIND),
        len(KIND) + 7,
    )
    assert (second.attributes, second.has_elements, second.end) == ({"x": "y"}, False, len(KIND) + 21)
    assert parser.between and parser.unfinished_at is None


def test_an_unfinished_tag_is_told() -> None:
    parser = StanzaParser(KIND)
    parser.parse(b"<a><b c='>")
    assert parser.unfinished_at == len(KIND) + 3 and not parser.between
    parser.parse(b"'>")
    assert parser.unfinished_at is None


@pytest.mark.parametrize("header", [b"<?xml version='1.0'?>", b"<stream:stream>"])
def test_a_second_header_is_told_by_its_place(header: bytes) -> None:
    parser = StanzaParser(KIND)
    with pytest.raises(Restart) as caught:
        parser.parse(b"<a/>" + header)
    assert caught.value.at == len(KIND) + 4 and len(parser.children) == 1


def test_a_declaration_inside_a_stanza_is_an_error() -> None:
    with pytest.raises(StreamError, match="not-well-formed"):
        StanzaParser(KIND).parse(b"<a><?xml version='1.0'?></a>")


def test_names_of_one_stanza_are_limited() -> None:
    """Expat and Python keep every name as long as the parser lives."""
    StanzaParser(KIND).parse(many_names(MAX_NAMES - USED_UP_NAMES))
    with pytest.raises(StreamError, match="policy-violation"):
        StanzaParser(KIND).parse(many_names(MAX_NAMES + 1))


def test_a_parser_that_met_many_names_is_not_used_again() -> None:
    pool = ParserPool()
    parser = pool.borrow(KIND)
    parser.parse(many_names(USED_UP_NAMES // 2))
    pool.give_back(parser)
    assert pool.borrow(KIND) is parser
    parser.parse(many_names(USED_UP_NAMES, "m"))
    assert parser.used_up
    pool.give_back(parser)
    assert pool.borrow(KIND) is not parser


def test_namespace_prefixes_count_as_names() -> None:
    def prefixes(count: int) -> bytes:
        return b"<a" + b"".join(b" xmlns:p%d='u'" % number for number in range(count)) + b"/>"

    pool = ParserPool()
    parser = pool.borrow(KIND)
    parser.parse(prefixes(USED_UP_NAMES + 1))
    assert parser.used_up
    with pytest.raises(StreamError, match="policy-violation"):
        StanzaParser(KIND).parse(prefixes(MAX_NAMES + 1))


def test_parsers_are_kept_by_kind() -> None:
    pool, other = ParserPool(), KIND.replace(b"'jabber:client'", b"'urn:other'")
    parser = pool.borrow(KIND)
    pool.give_back(parser)
    assert pool.borrow(other) is not parser and pool.borrow(KIND) is parser


def test_a_pool_is_limited() -> None:
    pool = ParserPool()
    for number in range(MAX_KINDS + 5):
        for parser in [pool.borrow(b"<k%d>" % number) for _ in range(MAX_SPARE + 1)]:
            pool.give_back(parser)
    assert len(pool._spare) <= MAX_KINDS and max(map(len, pool._spare.values())) == MAX_SPARE
    long = b"<" + b"k" * MAX_KIND_BYTES + b">"
    pool.give_back(pool.borrow(long))
    assert long not in pool._spare


def test_newer_expat_is_told_not_to_wait() -> None:
    """From 2.6 on a whole stanza could wait in the parser for the next one."""
    parser = create_parser()
    if hasattr(parser, "GetReparseDeferralEnabled"):
        assert not parser.GetReparseDeferralEnabled()


def test_short_namespaces_pass() -> None:
    measure_namespace("p", "urn:x")
    measure_namespace(None, None)
