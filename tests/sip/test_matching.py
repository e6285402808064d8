"""RFC 3261 sections 17.1.3, 17.2.3 and 8.2.2.2."""

import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.matching import client_key, merge_key, server_key
from haproxy_voip.sip.message import Request, Response, parse


def request(method: str = "INVITE", via: str = "192.0.2.9;branch=z9hG4bKabc", cseq: int = 1, to: str = "") -> Request:
    text = (
        f"{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:alice@example.com>;tag=a1\r\n"
        f"To: <sip:bob@example.com>{to}\r\nCall-ID: c1\r\nCSeq: {cseq} {method}\r\n\r\n"
    )
    message = parse(text.encode())
    assert isinstance(message, Request)
    return message


def key(message: Request, method: str | None = None) -> object:
    return server_key(message, message.top_via, method or message.method)


def test_branch_sent_by_and_method_identify_a_request() -> None:
    """17.2.3; everything else may differ in a retransmission that passed a changing network."""
    assert key(request()) == key(request(cseq=9, to=";tag=x"))
    assert key(request()) != key(request(via="192.0.2.9;branch=z9hG4bKother"))
    assert key(request()) != key(request(method="OPTIONS"))


@pytest.mark.parametrize("sent_by", ["192.0.2.8", "192.0.2.9:5070"])
def test_sent_by_tells_apart_two_clients_that_chose_the_same_branch(sent_by: str) -> None:
    """17.2.3: "there could be accidental or malicious duplication of branch parameters"."""
    assert key(request()) != key(request(via=f"{sent_by};branch=z9hG4bKabc"))


def test_branches_are_compared_without_regard_to_case() -> None:
    """7.3.1: parameter values are case-insensitive unless said otherwise."""
    assert key(request()) == key(request(via="192.0.2.9;branch=Z9HG4BKABC"))


def test_ack_and_cancel_find_their_invite() -> None:
    """17.2.3 and 9.2."""
    assert key(request(method="ACK"), "INVITE") == key(request())
    assert key(request(method="CANCEL"), "INVITE") == key(request())
    assert key(request(method="CANCEL")) != key(request())


@pytest.mark.parametrize("via", ["192.0.2.9", "192.0.2.9;branch=1", "192.0.2.9;branch=z9hG4bK"])
def test_without_a_usable_branch_the_fields_of_rfc_2543_identify_a_request(via: str) -> None:
    """17.2.3; a cookie that is followed by nothing is no identifier either (RFC 4475 3.2.1)."""
    first = request(via=via)
    assert key(first) == key(request(via=via))
    assert key(first) != key(request(via=via, cseq=2))
    assert key(first) == key(request("ACK", via, to=";tag=answer"), "INVITE")


def test_merge_key_is_for_requests_outside_dialogs_only() -> None:
    """8.2.2.2: "If the request has no tag in the To header field"."""
    other_way = request(via="192.0.2.7;branch=z9hG4bKother")
    assert merge_key(request()) == merge_key(other_way) is not None
    assert merge_key(request(cseq=2)) != merge_key(request())
    assert merge_key(request(to=";tag=b1")) is None


def test_two_forks_of_one_call_to_two_contacts_of_ours_are_not_merged() -> None:
    """Seen of a Kamailio behind us: Request-URI and branch are all that tells the two INVITEs apart."""
    one, other = request(), request(via="192.0.2.9;branch=z9hG4bKother")
    other.uri = "sip:carol@example.com"
    assert merge_key(one) != merge_key(other)


def test_a_response_belongs_to_the_branch_and_the_cseq_method() -> None:
    """17.1.3: the method too, "since a CANCEL request constitutes a different transaction, but shares the same
    value of the branch parameter"."""
    text = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc\r\nCSeq: 1 CANCEL\r\n\r\n"
    response = parse(text.encode())
    assert isinstance(response, Response)
    assert client_key(response) == ("z9hg4bkabc", "CANCEL")
    with pytest.raises(MessageError):
        client_key(Response(200))
