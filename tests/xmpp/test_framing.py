"""XML streams cut into stanzas (RFC 6120 sections 4 and 11)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haproxy_voip.xmpp.element import parse_element
from haproxy_voip.xmpp.errors import StreamError
from haproxy_voip.xmpp.framing import (
    MAX_HEADER_BYTES,
    MAX_STANZA_BYTES,
    Framed,
    Stanza,
    StreamEnd,
    StreamFramer,
    Whitespace,
)
from haproxy_voip.xmpp.header import StreamHeader
from haproxy_voip.xmpp.parser import MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAMESPACE, ParserPool, StanzaParser
from tests.xmpp.samples import AWKWARD, HEADER, MESSAGE, PRESENCE, STANZAS, opened, raws, stanza

STREAM = HEADER + b"".join(STANZAS)


def fed(framer: StreamFramer, data: bytes, size: int) -> list[Framed]:
    return [item for at in range(0, len(data), size) for item in framer.feed(data[at : at + size])]


def error_of(framer: StreamFramer, data: bytes) -> StreamError:
    error = framer.feed(data)[-1]
    assert isinstance(error, StreamError) and framer.broken
    assert framer.feed(PRESENCE) == []
    return error


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 500, len(STREAM)])
def test_stanzas_are_the_bytes_they_were_however_the_stream_cuts_them(size: int) -> None:
    header, *framed = fed(StreamFramer(), STREAM, size)
    assert isinstance(header, StreamHeader) and header.to == "im.example.com"
    assert raws(framed) == list(STANZAS)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_what_may_stand_before_a_header_may_come_in_pieces(size: int) -> None:
    """RFC 6120 section 11.6 lets a byte order mark be; white space may follow what came before a restart."""
    header, *framed = fed(StreamFramer(), b" \n\xef\xbb\xbf" + STREAM, size)
    assert isinstance(header, StreamHeader) and raws(framed) == list(STANZAS)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 500])
@pytest.mark.parametrize("more", [b"", b"x", b"<a/>", b"</a>"])
def test_text_before_the_end_of_the_stream_is_an_error_however_it_comes(size: int, more: bytes) -> None:
    framed = fed(opened(), PRESENCE + b" a</stream:stream>" + more, size)
    assert raws(framed) == [PRESENCE] and isinstance(framed[-1], StreamError)
    assert framed[-1].condition == "bad-format" and StreamEnd.END not in framed


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_second_declaration_is_not_waited_behind(size: int) -> None:
    [error] = fed(StreamFramer(), b"<?xml version='1.0'?>" * 2, size)
    assert isinstance(error, StreamError) and error.condition == "not-well-formed"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=8))
def test_stanzas_arrive_with_any_cuts(cuts: list[int]) -> None:
    stream, framer, framed = STREAM, StreamFramer(), []
    for cut in [*cuts, len(STREAM)]:
        framed += framer.feed(stream[:cut])
        stream = stream[cut:]
    assert raws(framed) == list(STANZAS)


@pytest.mark.parametrize("whole", STANZAS)
def test_every_prefix_of_a_stanza_waits_for_more(whole: bytes) -> None:
    for end in range(1, len(whole)):
        framer = opened()
        assert framer.feed(whole[:end]) == []
        assert raws(framer.feed(whole[end:])) == [whole]


def test_every_prefix_of_a_header_waits_for_more() -> None:
    for end in range(len(HEADER)):
        framer = StreamFramer()
        assert framer.feed(HEADER[:end]) == []
        assert len(framer.feed(HEADER[end:])) == 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"<message>", b"<message><body x='"]))
def test_noise_is_stanzas_or_one_error_at_the_end(noise: bytes, begun: bytes) -> None:
    framer = opened()
    framed = framer.feed(begun + noise + b">")
    assert all(isinstance(item, Stanza | Whitespace | StreamEnd) for item in framed[:-1])
    assert framer.broken == any(isinstance(item, StreamError) for item in framed[-1:])


def test_a_stanza_tells_its_name_and_the_attributes_of_its_start_tag() -> None:
    found = stanza(MESSAGE)
    assert (found.name, found.namespace, found.is_stanza) == ("message", "jabber:client", True)
    assert (found.to, found.from_) == ("romeo@example.net", "juliet@im.example.com/balcony")
    assert (found.id, found.type) == ("ju2ba41c", "chat")
    assert found.attributes["http://www.w3.org/XML/1998/namespace lang"] == "en"
    body = found.element().find("body")
    assert body is not None and body.text == "Art thou not Romeo, and a Montague?"


def test_attributes_are_unescaped() -> None:
    assert stanza(b"<iq id='&lt;&#39;&amp;&quot;'/>").id == "<'&\""


def test_a_nonza_is_no_stanza() -> None:
    found = stanza(b"<a xmlns='urn:xmpp:sm:3' h='5'/>")
    assert (found.name, found.namespace, found.is_stanza) == ("a", "urn:xmpp:sm:3", False)


def test_a_message_of_another_namespace_is_no_stanza() -> None:
    assert not stanza(b"<message xmlns='jabber:server'/>").is_stanza


@pytest.mark.parametrize(
    "children",
    [
        [b"<a/>", b"<b></b>"],
        [b"<a/>", b"<a></a>"],
        [b"<a>/></a>", b"<a/>"],
        [b"<a x='/>'/>", b"<a x='/>'></a>"],
        [b"<a><b/></a>", b"<a>x<b/>/></a>"],
        [b"<a  \n/>", b"<a\n>\n</a\n>"],
    ],
)
def test_where_a_stanza_ends_is_never_guessed(children: list[bytes]) -> None:
    """The parser's offset at an end is that of the end tag, or that behind an empty-element tag."""
    for stream in (children, children[::-1]):
        framed = opened().feed(b"".join(stream) + b"</stream:stream>")
        assert raws(framed) == stream and framed[-1] is StreamEnd.END


def test_white_space_between_stanzas_keeps_a_connection_alive() -> None:
    """RFC 6120 section 4.6.1."""
    framer = opened()
    assert framer.feed(b" ") == [Whitespace.KEEPALIVE]
    assert framer.feed(b"\r\n\t ") == [Whitespace.KEEPALIVE]
    assert raws(framer.feed(b"\n" + PRESENCE + b" \n" + PRESENCE)) == [PRESENCE] * 2
    assert framer.feed(b"\n<pres") == []
    assert raws(framer.feed(b"ence/>")) == [PRESENCE]


@pytest.mark.parametrize("text", [b"x", b"x<presence/>", b" x>", b"&#32;<presence/>", b"<![CDATA[ ]]><presence/>"])
def test_text_between_stanzas_is_refused(text: bytes) -> None:
    assert error_of(opened(), PRESENCE + text).condition == "bad-format"


def test_the_closing_tag_ends_the_stream() -> None:
    framer = opened()
    framed = framer.feed(PRESENCE + b" </stream:stream >" + PRESENCE)
    assert raws(framed) == [PRESENCE] and framed[-1] is StreamEnd.END
    assert framer.ended and framer.feed(PRESENCE) == []


def test_stanzas_before_an_error_arrive() -> None:
    framed = opened().feed(PRESENCE + MESSAGE + b"<a></b>")
    assert raws(framed) == [PRESENCE, MESSAGE] and isinstance(framed[-1], StreamError)


@pytest.mark.parametrize(
    ("hostile", "condition"),
    [
        # RFC 6120 section 11.1: comments, processing instructions, DTD subsets, entity references.
        (b"<!-- hello -->", "restricted-xml"),
        (b"<message><!-- hello --></message>", "restricted-xml"),
        (b"<!--", None),
        (b"<!-- a > b", "restricted-xml"),
        (b"<message><?php evil ?></message>", "restricted-xml"),
        (b"<?php a > b", "restricted-xml"),
        (b"<message>&lol;</message>", "restricted-xml"),
        (b"<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>", "not-well-formed"),
        # Section 4.9.3.13, XML and namespaces.
        (b"<a></b>", "not-well-formed"),
        (b"<a x=1/>", "not-well-formed"),
        (b"<a x='1' x='2'/>", "not-well-formed"),
        (b"<p:a/>", "not-well-formed"),
        (b"<a><b/></stream:stream>", "not-well-formed"),
        (b"<a>\x00</a>", "not-well-formed"),
        (b"<a>&#0;</a>", "not-well-formed"),
        (b"<a>]]></a>", "not-well-formed"),
        (b"<1/>", "not-well-formed"),
        (b"<?xml version='1.0'?><a/>", "bad-format"),
        (b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", "bad-format"),
        # Section 4.9.3.22: "by violating the rules of the UTF-8 encoding".
        (b"<a>\xff</a>", "unsupported-encoding"),
        (b"<a>\xc0\xbc</a>", "unsupported-encoding"),
        (b"<a x='\xed\xa0\x80'/>", "unsupported-encoding"),
    ],
)
def test_hostile_xml_is_refused_by_the_book(hostile: bytes, condition: str | None) -> None:
    if condition is None:
        assert opened().feed(hostile) == []
    else:
        assert error_of(opened(), hostile).condition == condition
        assert fed(opened(), hostile, 1)[-1].condition == condition  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        (b"<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;'>]><stream:stream>", "restricted-xml"),
        (b"<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'><stream:stream>", "restricted-xml"),
        (b"<!-- a -->" + HEADER, "restricted-xml"),
        (b"<?php a ?>" + HEADER, "restricted-xml"),
        (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        (b"\x16\x03\x01\x02\x00\x01", "not-well-formed"),
        (HEADER.replace(b"etherx", b"other"), "invalid-namespace"),
        (HEADER.replace(b"<stream:stream", b"<stream:flow"), "invalid-namespace"),
        (b"<message xmlns='jabber:client'>", "invalid-namespace"),
        (HEADER.replace(b"'1.0'?>", b"'1.0' encoding='ISO-8859-1'?>"), "unsupported-encoding"),
        (HEADER[:-1] + b"/>", "bad-format"),
        (HEADER.replace(b"juliet", b"\xff"), "unsupported-encoding"),
    ],
)
def test_hostile_headers_are_refused_by_the_book(header: bytes, condition: str) -> None:
    assert error_of(StreamFramer(), header).condition == condition


def test_utf_8_may_be_declared_in_either_case() -> None:
    for name in (b"UTF-8", b"utf-8"):
        [header] = StreamFramer().feed(HEADER.replace(b"'1.0'?>", b"'1.0' encoding='" + name + b"'?>"))
        assert isinstance(header, StreamHeader)


def test_a_stanza_of_the_largest_size_arrives_and_one_byte_more_is_refused() -> None:
    """RFC 6120 section 4.9.3.14, XEP-0478."""
    body = b"x" * (MAX_STANZA_BYTES - len(b"<message></message>"))
    largest = b"<message>" + body + b"</message>"
    assert raws(opened().feed(PRESENCE + largest + PRESENCE)) == [PRESENCE, largest, PRESENCE]
    assert error_of(opened(), b"<message>" + body + b"x</message>").condition == "policy-violation"


@pytest.mark.parametrize(
    "endless",
    [b"x", b"<a>", b"<a/>", b"<a b='", b"<a b='>", b"<a b='>'/>", b"<a", b"<", b"&amp;>", b"]", b"<![CDATA[>"],
)
def test_a_stanza_that_never_ends_is_refused_in_bounded_memory(endless: bytes) -> None:
    framer = opened()
    framed: list[Framed] = framer.feed(b"<message>")
    received = 0
    while not framed:
        received += 4_096
        framed = framer.feed((endless * 4_096)[:4_096])
        assert received <= MAX_STANZA_BYTES + 4_096
    assert isinstance(framed[0], StreamError)


def test_what_the_parser_sees_of_one_stanza_is_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watched(monkeypatch)
    opened().feed(b"<message>" + b"x>" * MAX_STANZA_BYTES)
    assert sum(seen) <= MAX_STANZA_BYTES


def test_an_endless_header_is_refused() -> None:
    assert error_of(StreamFramer(), HEADER[:-1] + b" x='" + b">" * MAX_HEADER_BYTES).condition == "policy-violation"
    assert error_of(StreamFramer(), b"<" + b"x" * MAX_HEADER_BYTES).condition == "policy-violation"


def test_a_lower_limit_holds_until_it_is_raised() -> None:
    framer = opened()
    framer.max_bytes = 100
    assert isinstance(framer.feed(MESSAGE)[0], StreamError)
    framer = opened()
    framer.max_bytes = 100
    assert raws(framer.feed(PRESENCE)) == [PRESENCE]
    framer.max_bytes = MAX_STANZA_BYTES
    assert raws(framer.feed(MESSAGE)) == [MESSAGE]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes given to the parser, call by call."""
    seen: list[int] = []
    parse = StanzaParser.parse

    def counted(parser: StanzaParser, data: bytes | bytearray) -> None:
        seen.append(len(data))
        parse(parser, data)

    monkeypatch.setattr(StanzaParser, "parse", counted)
    return seen


@pytest.mark.parametrize(
    "dribbled",
    [
        b"<message><body>" + b"x" * 5_000 + b"</body></message>",
        b"<message to='" + b"x" * 5_000 + b"'/>",
        b"<message to='" + b">" * 5_000 + b"'/>",
        b"<message to='" + b'">' * 2_500 + b"'/>",
        b"<message><" + b"x" * 5_000 + b"/></message>",
    ],
)
def test_a_dribbled_token_is_parsed_once(dribbled: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expat begins an unfinished tag anew at each call: byte by byte that costs the square of its length."""
    seen, framer = watched(monkeypatch), opened()
    assert raws(fed(framer, dribbled, 1)) == [dribbled]
    assert sum(seen) == len(dribbled) and len(seen) <= 5


def test_nesting_has_a_limit() -> None:
    deep = b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH
    assert raws(opened().feed(deep)) == [deep]
    assert error_of(opened(), b"<a>" * (MAX_DEPTH + 1)).condition == "policy-violation"


def test_attributes_have_a_limit() -> None:
    def with_attributes(count: int) -> bytes:
        return b"<a " + b" ".join(b"a%d=''" % number for number in range(count)) + b"/>"

    assert len(opened().feed(with_attributes(MAX_ATTRIBUTES))) == 1
    assert error_of(opened(), with_attributes(MAX_ATTRIBUTES + 1)).condition == "policy-violation"


def test_a_long_namespace_cannot_be_multiplied_by_many_names() -> None:
    bomb = b"<a xmlns='" + b"x" * (MAX_NAMESPACE + 1) + b"'>" + b"<b/>" * 1_000
    assert error_of(opened(), bomb).condition == "policy-violation"


def test_namespace_prefixes_of_the_header_go_with_the_stanza() -> None:
    """A slice must mean the same in a stream whose header declares less."""
    framer = opened(HEADER[:-1] + b" xmlns:x='urn:x' xmlns:y='urn:y'>")
    plain, used, own = raws(framer.feed(b"<iq/><iq><x:a/></iq><iq xmlns:x='urn:z'><x:a/></iq>"))
    assert plain == b"<iq/>" and own == b"<iq xmlns:x='urn:z'><x:a/></iq>"
    assert used == b"<iq xmlns:x='urn:x'><x:a/></iq>"
    assert parse_element(used).children[0].namespace == "urn:x"


def test_a_default_namespace_other_than_ours_goes_with_the_stanza() -> None:
    header = b"<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client' version='1.0'>"
    [found] = opened(header).feed(b"<c:message><c:body/></c:message>")
    assert isinstance(found, Stanza) and found.is_stanza
    assert parse_element(found.raw) == parse_element(b"<message><body/></message>")


def test_after_a_restart_the_rest_is_read_as_a_new_stream() -> None:
    """RFC 6120 section 6.4.6. COMPAT: some clients send the new header without waiting for <success/>."""
    framer = StreamFramer()
    framer.may_restart = True
    auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
    for second in (HEADER, HEADER.removeprefix(b"<?xml version='1.0'?>")):
        framer.restart(keep=False)
        assert raws(framer.feed(HEADER + auth + b"\n" + second + PRESENCE)) == [auth]
        assert framer.waits_for_restart
        assert framer.feed(MESSAGE) == []
        header, *framed = framer.restart()
        assert isinstance(header, StreamHeader) and raws(framed) == [PRESENCE, MESSAGE]


def test_a_header_cut_in_two_by_a_restart_is_read() -> None:
    framer = opened()
    assert raws(framer.feed(PRESENCE + HEADER[:3])) == [PRESENCE]
    assert framer.restart() == []
    assert isinstance(framer.feed(HEADER[3:])[0], StreamHeader)


def test_what_came_ahead_of_tls_is_dropped() -> None:
    """RFC 6120 section 5.4.3.3."""
    framer = opened()
    framer.may_restart = True
    framer.feed(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + HEADER + PRESENCE)
    assert framer.restart(keep=False) == []
    assert len(framer.feed(HEADER)) == 1


def test_what_waits_for_a_restart_is_limited() -> None:
    framer = opened()
    framer.may_restart = True
    framer.feed(HEADER)
    framer.max_bytes = 1_000
    assert isinstance(framer.feed(MESSAGE * 8)[0], StreamError)


def test_streams_share_parsers_and_keep_none_while_idle() -> None:
    pool = ParserPool()
    framers = [StreamFramer(pool=pool) for _ in range(3)]
    for framer in framers:
        framer.feed(HEADER)
        assert raws(framer.feed(MESSAGE)) == [MESSAGE]
    framers[0].feed(AWKWARD[:60])
    framers[1].feed(MESSAGE[:120] + b"<x>")
    assert raws(framers[2].feed(PRESENCE)) == [PRESENCE]
    assert raws(framers[0].feed(AWKWARD[60:])) == [AWKWARD]
    assert [framer._parser is None for framer in framers] == [True, False, True]
