"""What the parts of a node share: how things are asked, answered, refused and acknowledged."""

import pytest

from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.shared import hops_left
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.message import Request, Response, header, parse
from tests.proxy.stage import DOMAIN, Stage


@pytest.mark.parametrize(("came", "left"), [(None, 70), ("70", 69), ("1", 0), ("255", 254)])
def test_max_forwards_is_counted_down_or_begun(came: str | None, left: int) -> None:
    """RFC 3261 section 16.6 item 3."""
    request = Request("OPTIONS", f"sip:{DOMAIN}")
    if came is not None:
        request.add("Max-Forwards", came)
    assert hops_left(request) == left


def dialog_of(stage: Stage) -> Dialog:
    invite = Request("INVITE", "sip:1002@127.0.0.11:5060")
    invite.extend(
        [
            header("From", f"<sip:1001@{DOMAIN}>;tag=ours"),
            header("To", f"<sip:1002@{DOMAIN}>"),
            header("Call-ID", "call"),
            header("CSeq", "4 INVITE"),
        ]
    )
    ok = Response(200, None, [*invite.headers])
    ok.set("to", f"<sip:1002@{DOMAIN}>;tag=theirs")
    ok.add("Contact", "<sip:1002@127.0.0.11:5060>")
    return Dialog.from_response_uac(invite, ok)


def test_an_acknowledgement_is_a_request_of_its_own() -> None:
    """13.2.2.4: the CSeq number of the INVITE, the target of the dialog, and a branch that nobody has seen."""
    stage = Stage()
    shared, dialog = stage.node._shared, dialog_of(stage)
    first = shared.acknowledgement(dialog, stage.alpha.flow, 4)
    again = shared.acknowledgement(dialog, stage.alpha.flow, 4, [header("X-Carried", "yes")], b"v=0\r\n")
    assert isinstance(first, Send) and first.flow == stage.alpha.flow
    ack, other = parse(first.data), parse(again.data)
    assert isinstance(ack, Request) and isinstance(other, Request)
    assert (ack.method, ack.uri, ack.cseq.number, ack.to.tag) == ("ACK", "sip:1002@127.0.0.11:5060", 4, "theirs")
    assert ack.headers[0][0] == "via" and ack.top_via.sent_by == "127.0.0.10:5060"
    assert ack.top_via.branch != other.top_via.branch
    assert (other.get("x-carried"), other.body) == ("yes", b"v=0\r\n")


def test_what_is_asked_goes_out_at_once_and_its_answer_to_the_owner() -> None:
    stage = Stage()

    class Asker:
        heard: list[int] = []

        def response(self, transaction: object, response: Response, now: float) -> list[object]:
            self.heard.append(response.status)
            return []

        def failed(self, transaction: object, reason: str, now: float) -> list[object]:
            raise AssertionError(reason)

    request = stage.alpha.new("OPTIONS", "sip:127.0.0.11")
    request.remove("via")
    asker = Asker()
    _, outputs = stage.node._shared.ask(request, stage.alpha.flow, asker, stage.now)  # type: ignore[arg-type]
    stage.carry_out(list(outputs))
    stage.alpha.answer(stage.alpha.take_request("OPTIONS"), 200)
    assert asker.heard == [200]


def test_a_refusal_for_want_of_room_says_when_to_try_again() -> None:
    stage = Stage()
    alice = stage.phone("1001")
    for name in stage.backends:
        stage.kill(name)
    alice.request("MESSAGE", f"sip:1002@{DOMAIN}")
    refusal = alice.take_response(503)
    assert (refusal.get("retry-after") or "").isdigit()
    assert refusal.to.tag


def test_stream_numbers_are_never_used_again() -> None:
    shared = Stage().node._shared
    assert len({shared.next_stream() for _ in range(100)}) == 100
