"""The transaction layer on virtual time: requests to us (RFC 3261 section 17.2, RFC 6026, RFC 4320, RFC 3581)."""

from __future__ import annotations

from haproxy_voip.core.address import Address
from haproxy_voip.sip.message import Response
from haproxy_voip.sip.transactions import (
    AckMissing,
    RequestReceived,
)
from tests.sip.wire import PEER, TCP, UDP, Wire, theirs


def test_invite_gets_100_at_once_with_its_timestamp() -> None:
    """17.2.1, 8.2.6.1."""
    wire = Wire()
    wire.receive(theirs())
    trying = wire.sent[0][1]
    assert isinstance(trying, Response)
    assert (trying.status, trying.get("timestamp"), trying.to.tag) == (100, "54", None)
    assert isinstance(wire.told[0], RequestReceived)
    assert wire.server.last_status is None


def test_repeated_invite_is_answered_here_and_delivered_once() -> None:
    """17.2.1."""
    wire = Wire()
    for status in (None, 180, 486):
        if status is not None:
            wire.respond(wire.server, status)
        wire.receive(theirs())
    assert len(wire.told) == 1
    assert wire.lines == [
        "SIP/2.0 100 Trying",
        "SIP/2.0 180 Ringing",
        "SIP/2.0 180 Ringing",
        "SIP/2.0 486 Busy Here",
        "SIP/2.0 486 Busy Here",
    ]


def test_ack_to_a_failure_is_absorbed_and_stops_its_retransmission() -> None:
    """17.2.1."""
    wire = Wire()
    wire.receive(theirs())
    wire.respond(wire.server, 486)
    wire.until(1.0)
    wire.receive(theirs("ACK", to=";tag=us"))
    wire.until(60)
    assert wire.lines.count("SIP/2.0 486 Busy Here") == 2
    assert len(wire.told) == 1 and len(wire.layer) == 0


def test_a_failure_nobody_acks_is_reported() -> None:
    """17.2.1: timer H."""
    wire = Wire()
    wire.receive(theirs())
    transaction = wire.server
    wire.respond(transaction, 486)
    wire.until(60)
    assert wire.told[-1] == AckMissing(transaction)
    assert len(wire.layer) == 0


def test_2xx_is_the_users_to_repeat_and_repeated_invites_are_absorbed() -> None:
    """13.3.1.4, RFC 6026 7.1."""
    wire = Wire()
    wire.receive(theirs())
    transaction = wire.server
    wire.respond(transaction, 200)
    wire.until(10)
    wire.receive(theirs())
    assert wire.lines == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
    wire.respond(transaction, 200)
    assert wire.lines[-1] == "SIP/2.0 200 OK"
    wire.until(32)
    assert len(wire.layer) == 0


def test_ack_to_2xx_reaches_the_user_without_a_transaction() -> None:
    """13.2.2.4: end to end, with a branch of its own; RFC 6026 7.1 when it has the INVITE's."""
    wire = Wire()
    wire.receive(theirs())
    wire.respond(wire.server, 200)
    wire.told.clear()
    wire.receive(theirs("ACK", branch="z9hG4bKown", to=";tag=us"))
    wire.receive(theirs("ACK", to=";tag=us"))
    for output in wire.told:
        assert isinstance(output, RequestReceived)
        assert output.transaction is None and output.request.method == "ACK"
    assert len(wire.told) == 2


def test_cancel_comes_with_the_invite_it_cancels() -> None:
    """9.2: matched as if its method were INVITE; answered in a transaction of its own."""
    wire = Wire()
    wire.receive(theirs())
    invite = wire.server
    wire.receive(theirs("CANCEL"))
    received = wire.told[-1]
    assert isinstance(received, RequestReceived)
    assert received.cancels is invite and received.transaction is not invite
    wire.respond(wire.server, 200)
    wire.respond(invite, 487)
    assert wire.lines[-2:] == ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]


def test_cancel_of_nothing_known_says_so() -> None:
    """9.2: the TU answers 481."""
    wire = Wire()
    wire.receive(theirs())
    wire.receive(theirs("CANCEL", branch="z9hG4bKother"))
    received = wire.told[-1]
    assert isinstance(received, RequestReceived) and received.cancels is None


def test_a_cancel_comes_again_without_being_delivered_again() -> None:
    wire = Wire()
    wire.receive(theirs())
    wire.receive(theirs("CANCEL"))
    wire.respond(wire.server, 200)
    wire.receive(theirs("CANCEL"))
    assert len(wire.told) == 2
    assert wire.lines[-2:] == ["SIP/2.0 200 OK", "SIP/2.0 200 OK"]


def test_408_is_never_sent_to_a_non_invite_request() -> None:
    """RFC 4320 4.2."""
    wire = Wire()
    wire.receive(theirs("OPTIONS"))
    wire.respond(wire.server, 408)
    assert wire.sent == [] and wire.server.last_status is None
    wire.receive(theirs("INVITE", branch="z9hG4bKi", seq=2))
    wire.respond(wire.server, 408)
    assert wire.lines[-1] == "SIP/2.0 408 Request Timeout"


def test_a_slow_non_invite_gets_100_after_3_5_s_and_no_answer_after_32_s() -> None:
    """RFC 4320 4.1 and 4.2."""
    wire = Wire()
    wire.receive(theirs("OPTIONS"))
    transaction = wire.server
    wire.respond(transaction, 100)
    wire.until(40)
    wire.respond(transaction, 200)
    assert [(time, message.start_line) for time, message in wire.sent] == [(3.5, "SIP/2.0 100 Trying")]
    assert len(wire.layer) == 0


def test_merged_request_is_answered_482() -> None:
    """8.2.2.2: the same request by two ways."""
    wire = Wire()
    wire.receive(theirs())
    wire.receive(theirs(branch="z9hG4bKy"))
    assert len(wire.told) == 1
    assert wire.lines[-1] == "SIP/2.0 482 Loop Detected"
    assert wire.sent[-1][1].to.tag is not None
    wire.receive(theirs(branch="z9hG4bKy"))
    assert wire.lines[-1] == "SIP/2.0 482 Loop Detected"
    wire.receive(theirs("ACK", branch="z9hG4bKy"))
    assert len(wire.told) == 1


def test_merged_non_invite_is_answered_482_too() -> None:
    wire = Wire()
    wire.receive(theirs("MESSAGE"))
    wire.receive(theirs("MESSAGE", branch="z9hG4bKy"))
    assert wire.lines == ["SIP/2.0 482 Loop Detected"]


def test_a_request_is_no_merged_one_in_a_dialog_or_once_the_first_is_over() -> None:
    """8.2.2.2: only without a To tag, and only against ongoing transactions."""
    wire = Wire()
    wire.receive(theirs("INFO", to=";tag=us"))
    wire.receive(theirs("INFO", branch="z9hG4bKy", to=";tag=us"))
    wire.receive(theirs("OPTIONS", branch="z9hG4bKa", seq=3), TCP)
    wire.respond(wire.server, 200)
    wire.receive(theirs("OPTIONS", branch="z9hG4bKb", seq=3), TCP)
    assert len(wire.told) == 4


def test_rfc_2543_requests_are_matched_by_their_fields() -> None:
    """17.2.3: no branch, or one without the magic cookie."""
    wire = Wire()
    wire.receive(theirs(branch="1"))
    wire.receive(theirs(branch="1"))
    wire.respond(wire.server, 486)
    wire.receive(theirs("CANCEL", branch="1"))
    received = wire.told[-1]
    assert isinstance(received, RequestReceived) and received.cancels is not None
    wire.receive(theirs("ACK", branch="1", to=";tag=us"))
    wire.until(4)
    assert wire.lines.count("SIP/2.0 486 Busy Here") == 1
    assert len(wire.told) == 2


def test_responses_go_to_the_source_and_say_so() -> None:
    """RFC 3581 section 4: `received` and `rport` in Via, and from there the address."""
    wire = Wire()
    request = theirs("OPTIONS")
    request.set("via", "SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKn;rport")
    source = UDP._replace(remote=Address("198.51.100.7", 40000))
    wire.receive(request, source)
    wire.respond(wire.server, 200)
    via = wire.sent[-1][1].top_via
    assert (via.received, via.rport, via.branch) == ("198.51.100.7", 40000, "z9hG4bKn")
    assert wire.flows[-1] == source


def test_without_rport_the_response_goes_to_the_port_in_via() -> None:
    """18.2.2."""
    wire = Wire()
    wire.receive(theirs("OPTIONS"), UDP._replace(remote=Address("198.51.100.7", 40000)))
    wire.respond(wire.server, 200)
    assert wire.flows[-1].remote == PEER
