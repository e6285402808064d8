"""What the conformance tests have in common: the usual exchanges, up to where it gets interesting."""

from __future__ import annotations

from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, Peer, Stage


def called(stage: Stage, caller: Peer, **arguments: str) -> tuple[Request, Request]:
    """An INVITE of a client, and as the backend sees it."""
    invite = caller.request("INVITE", f"sip:1002@{DOMAIN}", body=caller.offer(), **arguments)
    return invite, stage.alpha.take_request("INVITE")


def answered(stage: Stage, caller: Peer) -> tuple[Request, Response, Request, Response]:
    invite, at_alpha = called(stage, caller)
    ok_of_alpha = stage.alpha.answer(at_alpha, 200, body=stage.alpha.offer(9000))
    ok = caller.take_response(200)
    caller.ack(invite, ok)
    stage.alpha.take("ACK")
    return invite, ok, at_alpha, ok_of_alpha


def asked(stage: Stage, client: Peer, method: str, **arguments: str) -> Request:
    """A request of a client outside any dialog, as the backend sees it."""
    client.request(method, f"sip:1002@{DOMAIN}", **arguments)
    return stage.alpha.take_request(method)


def finals(peer: Peer) -> list[int]:
    return [message.status for message in peer.inbox if isinstance(message, Response) and message.status >= 200]
