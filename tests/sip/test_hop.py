"""One hop: Via, where responses go, hop-by-hop ACK and CANCEL."""

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.sip.hop import ack_to_failure, cancel_of, mark_source, reply_flow, via_value
from haproxy_voip.sip.message import Request, header, parse, response_to

LOCAL = Address("192.0.2.1", 5060)
SOURCE = Address("198.51.100.7", 34567)


def invite(via: str, extra: str = "") -> Request:
    message = parse(
        (
            f"INVITE sip:bob@example.com SIP/2.0\r\nVia: {via}\r\n{extra}From: <sip:alice@example.com>;tag=a1\r\n"
            "To: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 7 INVITE\r\nMax-Forwards: 12\r\n"
            "Require: 100rel\r\nContent-Type: application/sdp\r\n\r\nv=0"
        ).encode()
    )
    assert isinstance(message, Request)
    return message


def marked(via: str, source: Address = SOURCE) -> str | None:
    request = invite(via)
    mark_source(request, request.top_via, source)
    return request.get("via")


def reply(via: str, transport: Transport = Transport.UDP, connection: int = 0) -> Address:
    return reply_flow(invite(via).top_via, Flow(transport, LOCAL, SOURCE, connection)).remote


def test_received_is_added_when_sent_by_says_something_else() -> None:
    """18.2.1: a domain name, or another address."""
    assert marked("SIP/2.0/UDP pc33.example.com;branch=b") == (
        "SIP/2.0/UDP pc33.example.com;branch=b;received=198.51.100.7"
    )
    assert marked("SIP/2.0/UDP 198.51.100.7;branch=b") == "SIP/2.0/UDP 198.51.100.7;branch=b"


def test_rport_is_filled_in_together_with_received_even_when_they_agree() -> None:
    """RFC 3581 section 4."""
    assert marked("SIP/2.0/UDP 198.51.100.7:34567;rport;branch=b") == (
        "SIP/2.0/UDP 198.51.100.7:34567;branch=b;received=198.51.100.7;rport=34567"
    )


def test_a_received_or_rport_made_up_by_the_client_is_overwritten() -> None:
    assert marked("SIP/2.0/UDP 10.0.0.1;received=203.0.113.66;rport=1;branch=b") == (
        "SIP/2.0/UDP 10.0.0.1;branch=b;received=198.51.100.7;rport=34567"
    )


def test_ipv6_sources_are_compared_and_written_without_brackets() -> None:
    """RFC 3261 section 25.1: via-received = "received" EQUAL (IPv4address / IPv6address)."""
    source = Address("2001:db8::7", 5060)
    assert marked("SIP/2.0/UDP [2001:DB8:0::7];branch=b", source) == "SIP/2.0/UDP [2001:DB8:0::7];branch=b"
    assert marked("SIP/2.0/UDP [2001:db8::8];branch=b", source) == (
        "SIP/2.0/UDP [2001:db8::8];branch=b;received=2001:db8::7"
    )


def test_only_the_top_via_of_a_combined_line_is_marked() -> None:
    assert marked("SIP/2.0/UDP a.example.com;branch=b, SIP/2.0/TCP b.example.com;branch=c") == (
        "SIP/2.0/UDP a.example.com;branch=b;received=198.51.100.7, SIP/2.0/TCP b.example.com;branch=c"
    )


def test_responses_go_to_the_source_port_when_rport_asks_for_it() -> None:
    """RFC 3581 section 4."""
    assert reply("SIP/2.0/UDP 198.51.100.7:5070;rport;branch=b") == SOURCE


def test_without_rport_responses_go_to_the_port_in_sent_by() -> None:
    """18.2.2: phones that send from one port and listen on another rely on it."""
    assert reply("SIP/2.0/UDP 198.51.100.7:5070;branch=b") == Address("198.51.100.7", 5070)
    assert reply("SIP/2.0/UDP 198.51.100.7;branch=b") == Address("198.51.100.7", 5060)


def test_a_client_behind_a_nat_is_answered_at_its_source_port() -> None:
    assert reply("SIP/2.0/UDP 10.0.0.1:5060;branch=b") == SOURCE


def test_responses_on_a_stream_go_back_on_it() -> None:
    """18.2.2: "the response MUST be sent using the existing connection"."""
    assert reply("SIP/2.0/TCP 198.51.100.7:5070;branch=b", Transport.TCP, 3) == SOURCE


def test_maddr_does_not_divert_responses() -> None:
    assert reply("SIP/2.0/UDP 198.51.100.7:34567;maddr=203.0.113.66;branch=b") == SOURCE


@pytest.mark.parametrize("transport", Transport)
def test_our_via_names_the_transport_and_asks_for_rport(transport: Transport) -> None:
    expected = f"SIP/2.0/{transport.upper()} [2001:db8::1]:5060;branch=z9hG4bK1;rport"
    assert via_value(transport, "[2001:db8::1]:5060", "z9hG4bK1") == expected


SENT = invite(
    "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx",
    "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKinner\r\nRoute: <sip:r1.example.com;lr>\r\n"
    "Route: <sip:r2.example.com;lr>\r\nAuthorization: Digest a=b\r\n",
)


def test_ack_to_a_failure_is_built_from_the_invite_and_the_responses_to() -> None:
    """17.1.1.3: one Via, equal to the INVITE's top one; its Route; Request-URI, From, Call-ID and CSeq number."""
    ack = ack_to_failure(SENT, response_to(SENT, 486, to_tag="busy"))
    assert (ack.method, ack.uri, str(ack.cseq)) == ("ACK", SENT.uri, "7 ACK")
    assert ack.all("via") == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"]
    assert ack.all("route") == ["<sip:r1.example.com;lr>", "<sip:r2.example.com;lr>"]
    assert ack.to.tag == "busy"
    assert (ack.from_.tag, ack.call_id, ack.max_forwards) == ("a1", "c1", 70)
    assert ack.body == b"" and not ack.has("content-type")


def test_ack_repeats_the_invites_credentials() -> None:
    """22.1."""
    assert ack_to_failure(SENT, response_to(SENT, 486)).get("authorization") == "Digest a=b"


def test_cancel_is_the_invites_twin() -> None:
    """9.1: Request-URI, Call-ID, To, CSeq number, From, Route and the top Via are the INVITE's; no Require."""
    cancel = cancel_of(SENT, [header("reason", "SIP;cause=200")])
    assert (cancel.method, cancel.uri, str(cancel.cseq)) == ("CANCEL", SENT.uri, "7 CANCEL")
    assert cancel.all("via") == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"]
    assert cancel.all("route") == SENT.all("route")
    assert cancel.get("to") == SENT.get("to")
    assert cancel.get("reason") == "SIP;cause=200"
    assert not cancel.has("require") and not cancel.has("authorization")
