"""The transaction layer on virtual time: our requests (RFC 3261 sections 8, 17 and 18, RFC 6026), limits, errors."""

from __future__ import annotations

import pytest

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, response_to
from haproxy_voip.sip.transactions import (
    Outgoing,
    ResponseReceived,
    StrayResponse,
    TimedOut,
    TransportFailed,
)
from tests.sip.wire import TCP, UDP, Wire, statuses, theirs


def test_a_request_gets_our_via_on_top() -> None:
    """8.1.1.7, RFC 3581 section 3."""
    wire = Wire()
    transaction = wire.request("OPTIONS", owner="probe")
    via = wire.sent[0][1].top_via
    assert (via.transport, via.sent_by, via.rport) == ("UDP", "192.0.2.1", 0)
    assert via.branch is not None and via.branch.startswith("z9hG4bK")
    assert (transaction.owner, transaction.is_invite, transaction.state) == ("probe", False, "trying")


def test_every_request_has_its_own_branch() -> None:
    """8.1.1.7: "unique across space and time"."""
    wire = Wire()
    assert len({wire.request("OPTIONS").request.top_via.branch for _ in range(50)}) == 50


def test_invite_is_sent_again_byte_for_byte_and_times_out_after_32_s() -> None:
    """17.1.1.2."""
    wire = Wire()
    transaction = wire.request()
    wire.until(60)
    assert [time for time, _ in wire.sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert len({message.encode() for _, message in wire.sent}) == 1
    assert wire.told == [TimedOut(transaction)]
    assert len(wire.layer) == 0 and wire.layer.deadline is None


def test_non_invite_times_out_without_any_answer_made_up() -> None:
    """17.1.2.2: a local time-out must never be mistaken for an answer."""
    wire = Wire()
    transaction = wire.request("OPTIONS")
    wire.until(60)
    assert wire.told == [TimedOut(transaction)]
    assert len(wire.sent) == 11


def test_nothing_is_sent_twice_over_a_stream() -> None:
    wire = Wire()
    wire.request("INVITE", TCP)
    wire.request("BYE", TCP)
    wire.until(60)
    assert wire.lines == ["INVITE sip:bob@198.51.100.7", "BYE sip:bob@198.51.100.7"]


def test_provisionals_and_the_final_response_are_delivered_in_order() -> None:
    wire = Wire()
    transaction = wire.request()
    for status in (100, 180, 183, 200):
        wire.answer(transaction, status)
    assert statuses(wire) == [100, 180, 183, 200]


def test_failure_is_acked_hop_by_hop_with_the_invites_branch_and_route() -> None:
    """17.1.1.3."""
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 486, tag="busy")
    ack = wire.sent[-1][1]
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri, str(ack.cseq), ack.to.tag) == ("ACK", transaction.request.uri, "5 ACK", "busy")
    assert ack.all("via") == transaction.request.all("via")
    assert ack.all("route") == ["<sip:198.51.100.7;lr>"]
    assert wire.flows[-1] == UDP


def test_repeated_failure_is_acked_again_but_not_delivered_again() -> None:
    """17.1.1.2."""
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 486)
    wire.until(0.5)
    wire.answer(transaction, 486)
    assert statuses(wire) == [486]
    assert wire.lines[1:] == ["ACK sip:bob@198.51.100.7"] * 2


def test_2xx_is_not_acked_here_and_every_fork_and_repeat_is_delivered() -> None:
    """RFC 6026 7.2: an INVITE transaction deleted on 200 would make late 2xx stray."""
    wire = Wire()
    transaction = wire.request()
    for time, tag in ((1.0, "one"), (1.5, "one"), (2.0, "two"), (32.0, "three")):
        wire.until(time)
        wire.answer(transaction, 200, tag)
    received = [output.response.to.tag for output in wire.told if isinstance(output, ResponseReceived)]
    assert received == ["one", "one", "two", "three"]
    assert "ACK" not in " ".join(wire.lines)


def test_a_2xx_after_the_accepted_state_is_stray() -> None:
    """RFC 6026 7.2: the TU is told: someone may be waiting for an ACK and a BYE."""
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 200)
    wire.until(33)
    wire.answer(transaction, 200, "late")
    assert isinstance(wire.told[-1], StrayResponse)


def test_repeated_answer_to_non_invite_is_absorbed_for_t4() -> None:
    """17.1.2.2: timer K."""
    wire = Wire()
    transaction = wire.request("OPTIONS")
    wire.answer(transaction, 200)
    wire.until(4.9)
    wire.answer(transaction, 200)
    assert statuses(wire) == [200]
    wire.until(5)
    assert len(wire.layer) == 0


def test_a_response_to_another_branch_or_method_is_stray() -> None:
    """17.1.3."""
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 200, method="BYE")
    other = response_to(theirs(branch="z9hG4bKnotours"), 200)
    wire.receive(other)
    assert [type(output) for output in wire.told] == [StrayResponse, StrayResponse]


def test_a_response_that_cannot_be_read_is_dropped() -> None:
    """18.1.2: there is no answer to a response."""
    wire = Wire()
    wire.receive(Response(200))
    wire.receive(Response(200, headers=[header("via", "nonsense"), header("cseq", "1 BYE")]))
    assert wire.told == wire.sent == []


# --- failing flows, abandoned transactions ---------------------------------------------------------------------


def test_a_broken_stream_fails_what_is_unanswered_on_it_and_nothing_else() -> None:
    """17.1.4; RFC 6026 8.4."""
    wire = Wire()
    invite, bye = wire.request("INVITE", TCP), wire.request("BYE", TCP)
    elsewhere = wire.request("OPTIONS", TCP._replace(connection=5))
    accepted = wire.request("INVITE", TCP)
    wire.answer(accepted, 200)
    wire.told.clear()
    wire.take(wire.layer.flow_failed(TCP, wire.now))
    assert wire.told == [TransportFailed(invite), TransportFailed(bye)]
    assert not elsewhere.ended and not accepted.ended
    assert wire.layer.flow_failed(TCP, wire.now) == []


def test_an_abandoned_request_is_forgotten_at_once() -> None:
    wire = Wire()
    transaction = wire.request()
    wire.layer.abandon(transaction)
    assert len(wire.layer) == 0 and wire.layer.deadline is None
    wire.layer.abandon(transaction)
    assert wire.layer.cancel(transaction, [], wire.now) == []
    wire.answer(transaction, 200)
    assert isinstance(wire.told[-1], StrayResponse)


def test_an_abandoned_server_transaction_answers_no_more() -> None:
    wire = Wire()
    wire.receive(theirs("OPTIONS"))
    transaction = wire.server
    wire.layer.abandon(transaction)
    wire.respond(transaction, 200)
    assert wire.sent == []
    wire.receive(theirs("OPTIONS"))
    assert wire.server is not transaction


def test_a_request_whose_connection_failed_may_begin_anew_on_another_flow() -> None:
    """RFC 3261 section 18.1.1: what was too large for UDP goes by UDP after all."""
    wire = Wire()
    request = Request("INVITE", "sip:bob@example.com", [header("CSeq", "1 INVITE"), header("Call-ID", "large")])
    request.headers += [header("From", "<sip:a@example.com>;tag=1"), header("To", "<sip:bob@example.com>")]
    transaction, outputs = wire.layer.request(Outgoing(request, TCP, "192.0.2.1"), wire.now)
    wire.take(outputs)
    wire.take(wire.layer.flow_failed(TCP, wire.now))
    wire.take(wire.layer.send_again(transaction, UDP, "192.0.2.1", wire.now))
    first, second = (message for _, message in wire.sent)
    assert second.top_via.transport == "UDP" and second.top_via.branch != first.top_via.branch
    assert wire.flows[-1] == UDP and not transaction.ended
    wire.until(0.5)
    assert len(wire.sent) == 3
    assert isinstance(second, Request)
    wire.receive(response_to(second, 486, None, "b"))
    assert isinstance(wire.told[-1], ResponseReceived) and wire.told[-1].transaction is transaction


# --- limits and errors ------------------------------------------------------------------------------------------


def test_beyond_the_limit_new_requests_get_503_with_retry_after_and_leave_nothing_behind() -> None:
    wire = Wire(limit=2)
    for number in range(5):
        wire.receive(theirs("OPTIONS", branch=f"z9hG4bK{number}", seq=number + 1))
    assert len(wire.layer) == 2 and len(wire.told) == 2
    refusals = [message for _, message in wire.sent]
    assert len(refusals) == 3
    for refusal in refusals:
        assert isinstance(refusal, Response) and refusal.status == 503
        assert 1 <= int(refusal.get("retry-after") or 0) <= 10
    assert len({refusal.to.tag for refusal in refusals}) == 1  # 8.2.7: the same tag for the same request


def test_what_ends_things_is_let_in_beyond_the_limit() -> None:
    wire = Wire(limit=1)
    wire.receive(theirs())
    wire.receive(theirs("CANCEL"))
    wire.receive(theirs("BYE", branch="z9hG4bKbye", to=";tag=us", seq=2))
    assert len(wire.told) == 3


def test_a_bad_request_is_refused_without_state() -> None:
    """8.2.7."""
    wire = Wire()
    error = MessageError("no good", 420, (header("unsupported", "foo"),))
    error.partial = theirs()
    wire.take(wire.layer.refuse(error, UDP))
    refusal = wire.sent[-1][1]
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.get("unsupported")) == (420, "foo")
    assert refusal.to.tag is not None and len(wire.layer) == 0


@pytest.mark.parametrize("partial", [None, theirs("ACK"), Request("INVITE", "sip:a@b", [header("via", "nonsense")])])
def test_what_cannot_be_answered_is_not(partial: Request | None) -> None:
    """17: ACK never has a response; without a Via there is nowhere to send one."""
    error = MessageError("no good")
    error.partial = partial
    assert Wire().layer.refuse(error, UDP) == []


def test_nothing_is_left_once_all_timers_have_run() -> None:
    wire = Wire()
    for number in range(20):
        wire.receive(theirs("OPTIONS", branch=f"z9hG4bK{number}", seq=number + 1))
        if number % 2:
            wire.respond(wire.server, 200)
        wire.answer(wire.request("BYE"), 100 if number % 3 else 200)
        wire.until(wire.now + 0.1)
    wire.until(99)
    assert len(wire.layer) == 0 and wire.layer.deadline is None
