"""A 2xx that waits for its ACK, and requests within a dialog."""

from __future__ import annotations

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Send
from haproxy_voip.core.events import Datagram
from haproxy_voip.embedded.exchange import Exchange, PendingAnswer
from haproxy_voip.embedded.pbx import Pbx
from haproxy_voip.embedded.settings import PbxSettings
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.message import Response, header, parse, response_to

FLOW = Flow(Transport.UDP, Address("192.0.2.10", 5060), Address("192.0.2.99", 5060))


def stack() -> Stack:
    return Pbx(PbxSettings(listen=(Endpoint(Transport.UDP, FLOW.local),), users={}), Chance.seeded(1)).stack


class Session:
    """What a session hears of both."""

    def __init__(self) -> None:
        self.lost_at: float | None = None
        self.statuses: list[int] = []
        self.repeated: list[int] = []

    def unacknowledged(self, now: float) -> None:
        self.lost_at = now

    def settled(self, exchange: Exchange, status: int, now: float) -> None:
        self.statuses.append(status)

    def repeat_ack(self, cseq: int) -> None:
        self.repeated.append(cseq)


def test_a_2xx_is_repeated_from_t1_to_t2_until_64_t1() -> None:
    """RFC 3261 13.3.1.4."""
    ours, session = stack(), Session()
    PendingAnswer(ours, session, FLOW, Response(200, None, [header("cseq", "1 INVITE")]), 0.0)
    times = []
    while (deadline := ours.deadline) is not None:
        ours.wake(deadline)
        if ours.take():
            times.append(deadline)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5] and session.lost_at == 32.0


def test_a_repeated_2xx_to_a_re_invite_is_acknowledged_again_and_told_once() -> None:
    ours, session, told = stack(), Session(), list[int]()
    dialog = Dialog("c", "1", "2", "<sip:a@b>", "<sip:c@d>", "sip:x@192.0.2.99", [], False)
    exchange = Exchange(ours, dialog, lambda response, now: told.append(response.status), session)
    request = dialog.request("INVITE")
    exchange.start(request, FLOW, 0.0)
    [sent] = [output for output in ours.take() if isinstance(output, Send)]
    asked = parse(sent.data)
    assert not isinstance(asked, Response)
    for status in (180, 200, 200):
        ours.receive(Datagram(response_to(asked, status).encode(), FLOW), 0.1)
    assert told == [200] and session.statuses == [200] and session.repeated == [1]
