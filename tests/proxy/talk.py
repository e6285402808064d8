"""Calls on the stage: how they are set up, what is said in them, and what must be left when they are over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.answer import AnswerAwaitingAck
from haproxy_voip.proxy.call import Call
from haproxy_voip.sip.digest import Authenticator
from haproxy_voip.sip.message import Request, Response, header
from tests.proxy.stage import DOMAIN, Peer, Stage, config

SDP = (
    "v=0\r\no={user} 1 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n"
)


def sdp(peer: Peer, port: int = 7000, *, formats: str = "0 8", direction: str = "sendrecv", more: str = "") -> bytes:
    """A session description by this peer; `more` is appended, {host} in it is the peer's."""
    text = SDP + more
    user = peer.user or "pbx"
    return text.format(user=user, version=1, host=peer.host, port=port, formats=formats, direction=direction).encode()


@dataclass
class Talk:
    """A call between a caller and a callee, one of them a client and the other a backend."""

    stage: Stage
    caller: Peer
    callee: Peer
    invite: Request  # as the caller sent it
    invited: Request  # as the callee got it
    ok: Response | None = None  # as the caller got it
    ok_sent: Response | None = None  # as the callee sent it
    caller_seq: int = 10
    callee_seq: int = 100

    # -- setting up ---------------------------------------------------------------------------------

    def provisional(self, status: int = 180, *, tag: str = "", body: bytes = b"", **headers: str) -> Response:
        """The callee says it, the caller hears it."""
        self.callee.answer(self.invited, status, tag=tag, body=body, **headers)
        return self.caller.take_response(status)

    def answer(self, body: bytes | None = None, *, tag: str = "", **headers: str) -> Response:
        """The callee answers; the caller has its 200, not acknowledged yet."""
        body = sdp(self.callee, 9000) if body is None else body
        self.ok_sent = self.callee.answer(self.invited, 200, tag=tag, body=body, **headers)
        self.ok = self.caller.take_response(200)
        return self.ok

    def acknowledge(self, body: bytes = b"") -> Request:
        """The caller acknowledges; as the callee gets it."""
        assert self.ok is not None
        self.caller.ack(self.invite, self.ok, body)
        return self.callee.take_request("ACK")

    def established(self) -> Talk:
        self.provisional(180)
        self.answer()
        self.acknowledge()
        return self

    # -- within the dialogs -------------------------------------------------------------------------

    def by_caller(self, method: str, body: bytes = b"", early: Response | None = None, **headers: str) -> Request:
        """A request by the caller, in the dialog made by the 200 or by this earlier response."""
        made = early or self.ok
        assert made is not None
        self.caller_seq += 1
        request = self.caller.within(self.invite, made, method, self.caller_seq)
        return self._send(self.caller, request, body, headers)

    def by_callee(self, method: str, body: bytes = b"", early: Response | None = None, **headers: str) -> Request:
        made = early or self.ok_sent
        assert made is not None
        self.callee_seq += 1
        request = self.callee.within(made, self.invited, method, self.callee_seq)
        return self._send(self.callee, request, body, headers)

    def _send(self, peer: Peer, request: Request, body: bytes, headers: dict[str, str]) -> Request:
        if request.method in ("INVITE", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE"):
            request.add("Contact", headers.pop("contact", peer.contact))
        if body:
            request.add("Content-Type", headers.pop("content_type", "application/sdp"))
            request.body = body
        request.headers += [header(name.replace("_", "-"), value) for name, value in headers.items()]
        peer.send(request)
        return request

    def across(
        self, request: Request, status: int = 200, body: bytes = b"", **headers: str
    ) -> tuple[Request, Response]:
        """What the other party gets of a request, and, once it answered so, what the sender gets."""
        sender, other = self.ends(request)
        there = other.take_request(request.method)
        other.answer(there, status, body=body, **headers)
        return there, sender.take_response(status)

    def ends(self, request: Request) -> tuple[Peer, Peer]:
        """Who sent it, and who is to get it."""
        by_caller = request.call_id == self.invite.call_id
        return (self.caller, self.callee) if by_caller else (self.callee, self.caller)

    def ack_of(self, request: Request, response: Response, body: bytes = b"") -> Request:
        """Acknowledge the 2xx to a re-INVITE; as the other party gets it."""
        sender, other = self.ends(request)
        lines = [item for item in request.headers if item[0] in ("from", "call-id", "max-forwards", "to")]
        ack = Request("ACK", request.uri, [header("Via", sender.via()), *lines])
        ack.add("CSeq", f"{request.cseq.number} ACK")
        if body:
            ack.add("Content-Type", "application/sdp")
            ack.body = body
        sender.send(ack)
        assert response.status < 300
        return other.take_request("ACK")

    # -- hanging up ---------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """The caller hangs up, and nothing is left of the call."""
        bye = self.by_caller("BYE")
        assert self.caller.take_response(200).cseq.method == "BYE"
        there = self.callee.take_request("BYE")
        self.callee.answer(there, 200)
        assert bye.cseq.number != there.cseq.number or bye.call_id != there.call_id
        leave_nothing(self.stage)


def calm(**changes: object) -> Stage:
    """A stage for calls without failures: backends are probed rarely, so that long times pass quickly."""
    return Stage(config(health=HealthConfig(inter=30.0), **changes))


def outgoing(stage: Stage, *, body: bytes | None = None, **headers: str) -> Talk:
    """A client calls through alpha."""
    alice = stage.phone("1001")
    offer = sdp(alice) if body is None else body
    invite = alice.request("INVITE", f"sip:1002@{DOMAIN}", body=offer, **headers)
    alice.inbox.clear()
    return Talk(stage, alice, stage.alpha, invite, stage.alpha.take_request("INVITE"))


def incoming(stage: Stage, *, body: bytes | None = None, backend: str = "alpha", **headers: str) -> Talk:
    """A backend calls a client."""
    bob = next((peer for peer in stage.peers.values() if peer.user == "1002"), None) or stage.phone("1002")
    caller = stage.backends[backend]
    offer = sdp(caller, 9000) if body is None else body
    uri = f"sip:{stage.token_of('1002')}@127.0.0.10:5060"
    headers.setdefault("from_", f"<sip:1001@{caller.host}>;tag=pbx{caller.count}")
    invite = caller.new("INVITE", uri, body=offer, **headers)
    caller.send(invite)
    caller.take(100)
    return Talk(stage, caller, bob, invite, bob.take_request("INVITE"))


Make = Callable[[Stage], Talk]
BOTH = [outgoing, incoming]


def leave_nothing(stage: Stage, seconds: float = 70.0) -> None:
    """Everything a call takes is given back once it is over."""
    stage.pass_time(seconds)
    shared = stage.node._shared
    assert len(shared.legs) == 0
    assert len(shared.transactions) == 0
    assert shared.ports.in_use == 0
    assert not stage.plans
    assert stage.node._calls.count == 0
    assert [key for key in shared.alarms._entries if isinstance(key, Call | AnswerAwaitingAck)] == []


def answer_all(stage: Stage, method: str) -> int:
    """Everybody answers 200 to all such requests; how many there were."""
    count = 0
    for peer in dict.fromkeys((*stage.peers.values(), *stage.streams.values())):
        for message in list(peer.inbox):
            if isinstance(message, Request) and message.method == method:
                peer.inbox.remove(message)
                peer.answer(message, 200)
                count += 1
    return count


def ask(talk: Talk, side: str, method: str, body: bytes = b"", **headers: str) -> Request:
    """A request by the caller or the callee, as `side` says."""
    return (talk.by_caller if side == "by_caller" else talk.by_callee)(method, body, None, **headers)


class Challenger:
    """A backend that knows the users by their passwords."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.authenticator = Authenticator("asterisk", self.credential, b"key")

    def credential(self, user: str) -> Credential | None:
        known = self.stage.credentials.get(user)
        return None if known is None else Credential(user, "asterisk", password=known.password)

    def challenge(self, request: Request) -> None:
        values = self.authenticator.challenge(self.stage.now)
        response = self.stage.alpha.answer(request, 401, www_authenticate=values[-1])
        assert response.status == 401

    def accepts(self, request: Request) -> bool:
        return hasattr(self.authenticator.authenticate(request, self.stage.now), "nonce_count") or request.has(
            "authorization"
        )
