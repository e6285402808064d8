"""RFC 5118 in the parser: each message is accepted, but for one, and its addresses are what they are."""

import re

import pytest

from haproxy_voip.core.address import Address
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.framing import StreamFramer
from haproxy_voip.sip.headers import Via
from haproxy_voip.sip.message import Message, Request, parse
from haproxy_voip.sip.sdp import reading
from haproxy_voip.sip.validation import validate
from tests.conformance.rfc5118.verdicts import FOLDER, VERDICTS, Verdict
from tests.conformance.torture import by_name, refusal

every_message = pytest.mark.parametrize("verdict", VERDICTS, ids=by_name)


def read(name: str) -> Request:
    message = parse(next(verdict.data for verdict in VERDICTS if verdict.name == name))
    assert isinstance(message, Request)
    validate(message)
    return message


def vias_of(message: Request) -> list[Via]:
    return [Via.parse(value) for value in message.values("via")]


def test_each_of_the_12_messages_has_its_verdict() -> None:
    assert sorted(verdict.name for verdict in VERDICTS) == sorted(path.stem for path in FOLDER.glob("*.dat"))
    assert len({verdict.section for verdict in VERDICTS}) == 10 and len(VERDICTS) == 12


@every_message
def test_only_line_ends_and_content_lengths_are_not_the_archives(verdict: Verdict) -> None:
    def told(data: bytes) -> list[bytes]:
        return re.sub(rb"(?m)^(Content-Length:).*", rb"\1", data).split()

    archived = (FOLDER / f"{verdict.name}.dat").read_bytes()
    assert told(verdict.data) == told(archived)
    assert b"\r" not in archived and verdict.data.count(b"\r\n") == verdict.data.count(b"\n")


@every_message
def test_the_parser_gives_its_verdict(verdict: Verdict) -> None:
    error = refusal(verdict.data)
    assert (None if error is None else error.status) == verdict.parse_status
    assert error is None or error.partial is not None  # so it is answered


@every_message
def test_what_is_accepted_goes_out_as_it_came(verdict: Verdict) -> None:
    if verdict.parse_status is None:
        assert parse(verdict.data).encode() == verdict.data


@every_message
def test_every_prefix_is_read_or_refused(verdict: Verdict) -> None:
    for end in range(len(verdict.data)):
        refusal(verdict.data[:end])


@every_message
def test_a_stream_ends_in_order_or_is_broken(verdict: Verdict) -> None:
    framer = StreamFramer()
    framed = framer.feed(verdict.data)
    assert framed and (framer.broken or all(isinstance(item, Message | MessageError) for item in framed))


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [
        ("ipv6-good", "2001:db8::10", None),
        ("port-ambiguous", "2001:db8::10:5070", None),
        ("port-unambiguous", "2001:db8::10", 5070),
        ("ipv6-bug-abnf-3-colons", "2001:db8::c000:201", None),
        ("ipv6-correct-abnf-2-colons", "2001:db8::c000:201", None),
    ],
)
def test_a_port_is_what_follows_the_brackets(name: str, host: str, port: int | None) -> None:
    """4.1, 4.3, 4.4, 4.10."""
    uri = read(name).request_uri
    assert (uri.host, uri.port) == (host, port)


def test_received_may_have_brackets() -> None:
    """4.5."""
    for name in ("via-received-param-with-delim", "via-received-param-no-delim"):
        via = read(name).top_via
        assert (via.host, via.received) == ("2001:db8::9:1", "2001:db8::9:255")
        assert via.branch is not None


def test_each_hop_has_a_family_of_its_own() -> None:
    """4.7."""
    hops = [(via.transport, via.host, via.port, via.received) for via in vias_of(read("mult-ip-in-header"))]
    assert hops == [
        ("UDP", "2001:db8::9:1", 6050, None),
        ("UDP", "192.0.2.1", None, None),
        ("TCP", "2001:db8::9:255", None, "192.0.2.200"),
    ]


@pytest.mark.parametrize(
    ("name", "audio", "video"),
    [
        ("ipv6-in-sdp", "2001:db8::20", "2001:db8::20"),
        ("mult-ip-in-sdp", "192.0.2.1", "2001:db8::1"),
        ("ipv4-mapped-ipv6", "::ffff:192.0.2.2", "::ffff:192.0.2.2"),
    ],
)
def test_each_stream_has_an_address_of_its_own(name: str, audio: str, video: str) -> None:
    """4.6, 4.8, 4.9."""
    wanted = [Address.parse(f"[{host}]:9").host if ":" in host else host for host in (audio, video)]
    found = [section.address for section in reading.parse(read(name).body).medias]
    assert [address and address.host for address in found] == wanted


def test_a_mapped_address_is_an_ipv6_address() -> None:
    """4.9."""
    message = read("ipv4-mapped-ipv6")
    mapped = Address.parse("[::ffff:192.0.2.2]:5060")
    assert mapped.family == 6
    assert vias_of(message)[1].host == message.contacts[0].uri.host == mapped.host
