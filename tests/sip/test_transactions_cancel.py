"""CANCEL in the transaction layer (RFC 3261 section 9.1)."""

from __future__ import annotations

from haproxy_voip.sip.message import Request, header
from haproxy_voip.sip.transactions import (
    TimedOut,
)
from tests.sip.wire import Wire, statuses


def test_cancel_goes_hop_by_hop_with_the_invites_branch() -> None:
    """9.1."""
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 180)
    wire.take(wire.layer.cancel(transaction, [header("reason", "SIP;cause=200")], wire.now))
    cancel = wire.sent[-1][1]
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.uri, str(cancel.cseq)) == ("CANCEL", transaction.request.uri, "5 CANCEL")
    assert cancel.all("via") == transaction.request.all("via")
    assert cancel.get("to") == transaction.request.get("to")
    assert cancel.get("reason") == "SIP;cause=200"


def test_cancel_waits_for_a_provisional_response() -> None:
    """9.1: else it might overtake the INVITE."""
    wire = Wire()
    transaction = wire.request()
    assert wire.layer.cancel(transaction, [], wire.now) == []
    wire.until(0.4)
    wire.answer(transaction, 100)
    assert wire.lines[-1].startswith("CANCEL")
    assert statuses(wire) == [100]


def test_cancel_that_still_waits_is_dropped_when_the_answer_comes_first() -> None:
    wire = Wire()
    transaction = wire.request()
    wire.layer.cancel(transaction, [], wire.now)
    wire.answer(transaction, 200)
    assert wire.lines == ["INVITE sip:bob@198.51.100.7"]
    assert statuses(wire) == [200]


def test_cancel_after_the_final_response_does_nothing() -> None:
    """9.1: CANCEL has no effect on a request with a final response."""
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 486)
    assert wire.layer.cancel(transaction, [], wire.now) == []


def test_cancel_is_sent_once_and_its_own_answer_is_nobodys_business() -> None:
    wire = Wire()
    transaction = wire.request()
    wire.answer(transaction, 180)
    for _ in range(2):
        wire.take(wire.layer.cancel(transaction, [], wire.now))
    wire.answer(transaction, 183)
    assert [line.split()[0] for line in wire.lines] == ["INVITE", "CANCEL"]
    wire.answer(transaction, 200, method="CANCEL")
    wire.answer(transaction, 487)
    assert statuses(wire) == [180, 183, 487]
    assert wire.lines[-1].startswith("ACK")


def test_cancel_is_retransmitted_and_the_invite_given_up_64_t1_later() -> None:
    """9.1, for servers that never send 487."""
    wire = Wire()
    transaction = wire.request()
    wire.until(0.1)
    wire.answer(transaction, 180)
    wire.take(wire.layer.cancel(transaction, [], wire.now))
    wire.until(60)
    assert [line.split()[0] for line in wire.lines] == ["INVITE"] + ["CANCEL"] * 11
    assert wire.told[-1] == TimedOut(transaction)
    assert len(wire.layer) == 0


def test_a_bye_or_cancel_without_answer_is_known_and_a_cancelled_invite_is_none() -> None:
    wire = Wire()
    invite, bye = wire.request(), wire.request("BYE")
    wire.answer(invite, 180)
    assert wire.layer.parting
    wire.answer(bye, 200)
    assert not wire.layer.parting
    wire.take(wire.layer.cancel(invite, [], wire.now))
    assert wire.layer.parting
    wire.answer(invite, 200, method="CANCEL")
    assert not wire.layer.parting
