"""The transaction layer with its clock, and the messages that its tests exchange."""

from __future__ import annotations

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.effects import Send
from haproxy_voip.sip.message import Request, Response, parse, response_to
from haproxy_voip.sip.transactions import (
    ClientTransaction,
    Outgoing,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TransactionOutput,
    Transactions,
)

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
