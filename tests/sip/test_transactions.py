"""The transaction layer on virtual time: RFC 3261 sections 8, 9, 17 and 18, RFC 6026, RFC 4320, RFC 3581."""

from __future__ import annotations

import heapq
from random import Random

import pytest

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Send
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header, parse, response_to
from haproxy_voip.sip.transactions import (
    AckMissing,
    ClientTransaction,
    Outgoing,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    StrayResponse,
    TimedOut,
    TransactionOutput,
    Transactions,
    TransportFailed,
)
from haproxy_voip.sip.validation import validate

US, PEER = Address("192.0.2.1", 5060), Address("198.51.100.7", 5060)
UDP = Flow(Transport.UDP, US, PEER)
TCP = Flow(Transport.TCP, US, PEER, 3)


class Wire:
    """The layer under test with its clock: `sent` holds what it put on the wire, `told` what its user learnt."""

    def __init__(self, limit: int = 1000) -> None:
        self.layer = Transactions(Chance.seeded(1), limit=limit)
        self.now = 0.0
        self.sent: list[tuple[float, Request | Response]] = []
        self.flows: list[Flow] = []
        self.told: list[TransactionOutput] = []

    def take(self, outputs: list[TransactionOutput]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self.sent.append((self.now, parse(output.data)))
                self.flows.append(output.flow)
            else:
                self.told.append(output)

    def until(self, time: float) -> None:
        while self.layer.deadline is not None and self.layer.deadline <= time:
            self.now = self.layer.deadline
            self.take(self.layer.wake(self.now))
        self.now = time

    def receive(self, message: Request | Response, flow: Flow = UDP) -> None:
        self.take(self.layer.receive(message, flow, self.now))

    def request(self, method: str = "INVITE", flow: Flow = UDP, owner: object = None) -> ClientTransaction:
        transaction, outputs = self.layer.request(Outgoing(ours(method), flow, "192.0.2.1", owner), self.now)
        self.take(outputs)
        return transaction

    def answer(self, transaction: ClientTransaction, status: int, tag: str = "t", method: str | None = None) -> None:
        response = response_to(transaction.request, status, to_tag=tag)
        if method is not None:
            response.set("cseq", f"{transaction.request.cseq.number} {method}")
        self.receive(response, transaction.flow)

    def respond(self, transaction: ServerTransaction, status: int) -> None:
        self.take(self.layer.respond(transaction, response_to(transaction.request, status, to_tag="us"), self.now))

    @property
    def last(self) -> str:
        return repr(self.sent[-1][1])

    @property
    def lines(self) -> list[str]:
        return [message.start_line.removesuffix(" SIP/2.0") for _, message in self.sent]

    @property
    def server(self) -> ServerTransaction:
        received = next(output for output in reversed(self.told) if isinstance(output, RequestReceived))
        assert received.transaction is not None
        return received.transaction


def ours(method: str) -> Request:
    text = (
        f"{method} sip:bob@198.51.100.7 SIP/2.0\r\nMax-Forwards: 70\r\nRoute: <sip:198.51.100.7;lr>\r\n"
        f"From: <sip:alice@192.0.2.1>;tag=us\r\nTo: <sip:bob@198.51.100.7>\r\nCall-ID: c1\r\nCSeq: 5 {method}\r\n\r\n"
    )
    return request_from(text)


def theirs(method: str = "INVITE", branch: str = "z9hG4bKx", to: str = "", seq: int = 1, cseq: str = "") -> Request:
    return request_from(
        f"{method} sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch={branch}\r\n"
        f"From: <sip:alice@198.51.100.7>;tag=a1\r\nTo: <sip:bob@192.0.2.1>{to}\r\nCall-ID: c9\r\n"
        f"CSeq: {seq} {cseq or method}\r\nTimestamp: 54\r\n\r\n"
    )


def request_from(text: str) -> Request:
    message = parse(text.encode())
    assert isinstance(message, Request)
    return message


def statuses(wire: Wire) -> list[int]:
    return [output.response.status for output in wire.told if isinstance(output, ResponseReceived)]


# --- requests we send ------------------------------------------------------------------------------------------


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


# --- CANCEL ----------------------------------------------------------------------------------------------------


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


# --- requests we receive ---------------------------------------------------------------------------------------


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


# --- limits and errors -----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("status", [180, 200, 486])
def test_damaged_responses_never_break_the_layer(status: int) -> None:
    """Noise and truncation: whatever still parses as a response is delivered, stray or dropped."""
    random, wire = Random(status), Wire()
    transaction = wire.request()
    data = response_to(transaction.request, status, to_tag="t").encode()
    damaged = [data[:length] + b"\r\n\r\n" for length in range(len(data))]
    for _ in range(300):
        position = random.randrange(len(data))
        damaged.append(data[:position] + random.randbytes(2) + data[position + 1 :])
    for attempt in damaged:
        try:
            message = parse(attempt)
        except MessageError:
            continue
        wire.receive(message)
    assert {type(output) for output in wire.told} <= {ResponseReceived, StrayResponse}


def test_damaged_requests_are_refused_or_handled() -> None:
    random, wire = Random(1), Wire()
    data = theirs().encode()
    for _ in range(500):
        position = random.randrange(len(data))
        try:
            message = parse(data[:position] + random.randbytes(1) + data[position + 1 :])
            if isinstance(message, Request):
                validate(message)
        except MessageError as error:
            wire.take(wire.layer.refuse(error, UDP))
            continue
        wire.receive(message)
    wire.until(99)
    assert len(wire.layer) == sum(
        isinstance(output, RequestReceived) and output.transaction is not None and output.transaction.is_invite
        for output in wire.told
    )  # unanswered INVITEs are their user's to end


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


class Network:
    """Two layers that lose, repeat and reorder each other's messages."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.client, self.server = Wire(), Wire()
        self.queue: list[tuple[float, int, Wire, bytes]] = []

    def take_up(self) -> None:
        for source, target in ((self.client, self.server), (self.server, self.client)):
            for _, message in source.sent:
                for _ in range(self.random.choice([0, 1, 1, 1, 2])):
                    at = source.now + self.random.uniform(0.001, 0.9)
                    heapq.heappush(self.queue, (at, self.random.getrandbits(64), target, message.encode()))
            source.sent.clear()

    def step(self) -> bool:
        """Go on to what happens next; False when nothing ever will."""
        self.take_up()
        times = [wire.layer.deadline for wire in (self.client, self.server)] + [at for at, *_ in self.queue[:1]]
        due = [at for at in times if at is not None]
        if not due:
            return False
        self.client.until(min(due))
        self.server.until(min(due))
        if self.queue and self.queue[0][0] <= min(due):
            _, _, target, data = heapq.heappop(self.queue)
            known = len(self.server.told)
            target.receive(parse(data))
            for output in self.server.told[known:]:
                assert isinstance(output, RequestReceived) and output.transaction is not None
                # No 2xx to INVITE: to repeat that is the user's business.
                status = 486 if output.transaction.is_invite else 200
                self.server.respond(output.transaction, status)
        return True


@pytest.mark.parametrize("seed", range(20))
def test_over_a_bad_network_every_request_has_one_outcome_and_nothing_is_left(seed: int) -> None:
    """Each request is delivered at most once, and each has one final answer or time-out."""
    network = Network(seed)
    client, server = network.client, network.server
    requests = []
    for number in range(10):
        request = ours(network.random.choice(["INVITE", "OPTIONS"]))
        request.set("call-id", f"c{number}")
        transaction, outputs = client.layer.request(Outgoing(request, UDP, "192.0.2.1"), 0.0)
        client.take(outputs)
        requests.append(transaction)
    while network.step():
        pass
    outcomes = dict.fromkeys(requests, 0)
    for output in client.told:
        if isinstance(output, TimedOut) or (isinstance(output, ResponseReceived) and output.response.status >= 200):
            outcomes[output.transaction] += 1
    delivered = [output for output in server.told if isinstance(output, RequestReceived)]
    assert list(outcomes.values()) == [1] * 10
    assert len(delivered) <= 10
    assert len(client.layer) == len(server.layer) == 0


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
