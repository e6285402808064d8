"""Two clients who talk through a backend, and the next backend that takes their call when the first one dies.

call = converse(stage)
stage.kill("alpha")
call.rebuilt("beta")
call.hang_up()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.proxy.call import Call
from haproxy_voip.rtp.fingerprint import Fingerprints
from haproxy_voip.rtp.flow import StreamPlan
from haproxy_voip.sip.message import Request, Response
from tests.proxy.stage import DOMAIN, USERS, Peer, Stage, config
from tests.proxy.talk import Talk, sdp

# Probes cost time and are not what is tested; a killed backend is noticed without them.
FEW_PROBES = HealthConfig(inter=5.0, timeout=0.060)


def theatre(users: Iterable[str] = USERS, **changes: object) -> Stage:
    """A stage on which long times pass quickly."""
    return Stage(config(health=FEW_PROBES, **changes), users=users)


def known(stage: Stage, user: str) -> Peer:
    """The phone of this user, registered now if it is not yet."""
    return next((peer for peer in stage.peers.values() if peer.user == user), None) or stage.phone(user)


def dial(stage: Stage, caller: str, number: str, *, body: bytes | None = None, **headers: str) -> Talk:
    """A client calls through alpha; nothing was answered yet."""
    phone = known(stage, caller)
    invite = phone.request("INVITE", f"sip:{number}@{DOMAIN}", body=sdp(phone) if body is None else body, **headers)
    phone.inbox.clear()
    return Talk(stage, phone, stage.alpha, invite, stage.alpha.take_request("INVITE"))


def ring(
    stage: Stage, backend: str, caller: str, callee: str, *, body: bytes | None = None, port: int = 9002, **headers: str
) -> Talk:
    """This backend calls a client on behalf of the caller."""
    phone, pbx = known(stage, callee), stage.backends[backend]
    offer = sdp(pbx, port) if body is None else body
    headers.setdefault("from_", f"<sip:{caller}@{pbx.host}>;tag={backend}{pbx.count}")
    invite = pbx.new("INVITE", f"sip:{stage.token_of(callee)}@127.0.0.10:5060", body=offer, **headers)
    pbx.send(invite)
    pbx.take(100)
    return Talk(stage, pbx, phone, invite, phone.take_request("INVITE"))


def claim(stage: Stage, backend: str, caller: str, callee: str, **arguments: str | bytes) -> Request:
    """This backend calls a client, who may have that call already."""
    known(stage, callee)
    pbx = stage.backends[backend]
    body = arguments.pop("body", sdp(pbx, 9502))
    assert isinstance(body, bytes)
    headers = {name: str(value) for name, value in arguments.items()}
    headers.setdefault("from_", f"<sip:{caller}@{pbx.host}>;tag={backend}{pbx.count}")
    invite = pbx.new("INVITE", f"sip:{stage.token_of(callee)}@127.0.0.10:5060", body=body, **headers)
    pbx.send(invite)
    pbx.take(100)
    return invite


@dataclass
class Conversation:
    """`ours` is the caller's call, `theirs` the callee's."""

    stage: Stage
    ours: Talk
    theirs: Talk

    @property
    def caller(self) -> Peer:
        return self.ours.caller

    @property
    def callee(self) -> Peer:
        return self.theirs.callee

    def rebuilt(self, backend: str = "beta", *, offer: bytes | None = None, answer: bytes | None = None) -> None:
        """The next backend takes the call, and neither phone is said a word."""
        self.claimed(backend, offer)
        self.carried(backend, answer)

    def invited(self, backend: str = "beta") -> Request:
        """Our INVITE at the next backend in the caller's name."""
        self.ours.callee = self.stage.backends[backend]
        self.ours.invited = self.ours.callee.take_request("INVITE")
        return self.ours.invited

    def claimed(self, backend: str = "beta", offer: bytes | None = None) -> Response:
        """It was, and calls the callee, who is there already."""
        pbx = self.stage.backends[backend]
        invited = self.invited(backend)
        caller, callee = invited.from_.uri.user or "", self.callee.user
        self.theirs.caller = pbx
        self.theirs.invite = claim(self.stage, backend, caller, callee, body=sdp(pbx, 9502) if offer is None else offer)
        self.theirs.ok = pbx.take_response(200)
        pbx.ack(self.theirs.invite, self.theirs.ok)
        return self.theirs.ok

    def carried(self, backend: str = "beta", answer: bytes | None = None) -> None:
        """It answers the caller, who is there already as well."""
        pbx = self.stage.backends[backend]
        body = sdp(pbx, 9500) if answer is None else answer
        self.ours.ok_sent = pbx.answer(self.ours.invited, 200, tag=f"ours{backend}", body=body)
        pbx.take("ACK")

    def hang_up(self) -> None:
        """The caller hangs up through the backend, and nothing is left."""
        self.ours.by_caller("BYE")
        self.caller.take(200)
        pbx = self.ours.callee
        pbx.answer(pbx.take_request("BYE"), 200)
        self.theirs.by_caller("BYE")
        pbx.take(200)
        self.callee.answer(self.callee.take_request("BYE"), 200)


def converse(
    stage: Stage,
    caller: str = "1001",
    callee: str = "1002",
    *,
    dialled: str | None = None,
    name: str | None = None,
    after: float = 0.01,
    backend_port: int = 9000,
) -> Conversation:
    """They talk through alpha: `dialled` is what the caller asked for, `name` whom the callee sees."""
    ours = dial(stage, caller, dialled or callee)
    theirs = ring(stage, "alpha", name or caller, callee, port=backend_port + 2)
    theirs.answer(sdp(theirs.callee, 7000))
    theirs.acknowledge()
    stage.pass_time(after)
    ours.answer(sdp(stage.alpha, backend_port))
    ours.acknowledge()
    return Conversation(stage, ours, theirs)


def calls_of(stage: Stage) -> list[Call]:
    """Every call of the node."""
    return [call for calls in stage.node._calls._by_backend.values() for call in calls]


def plan_of(stage: Stage, peer: Peer) -> StreamPlan:
    """The one stream of this client."""
    [plan] = [
        install.plan
        for install in stage.plans.values()
        if install.plan.client.remote is not None and install.plan.client.remote.host == peer.host
    ]
    return plan


def joined(stage: Stage, one: Peer, other: Peer) -> bool:
    """Whether the relay lets these two clients hear each other directly."""
    first, second = plan_of(stage, one), plan_of(stage, other)
    return first.bridge == second.stream and second.bridge == first.stream


def nobody_is_joined(stage: Stage) -> bool:
    return all(install.plan.bridge is None for install in stage.plans.values())


def requests(peer: Peer) -> list[str]:
    """The methods that wait in its inbox."""
    return [one.method for one in peer.inbox if isinstance(one, Request)]


class Told(Fingerprints):
    """Fingerprints that were heard long enough: who talks to whom is told by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[int, int] = {}

    def partner_of(self, stream: int) -> int | None:
        return self.of.get(stream)

    def forget(self, stream: int) -> None:
        self.of.pop(self.of.pop(stream, stream), None)


def prove(call: Conversation) -> None:
    """What passes shows that these two talk to each other, whatever the signalling says."""
    calls = call.stage.node._calls
    if not isinstance(calls.fingerprints, Told):
        calls.fingerprints = Told()
    ours, theirs = plan_of(call.stage, call.caller).stream, plan_of(call.stage, call.callee).stream
    calls.fingerprints.of |= {ours: theirs, theirs: ours}


def silent(*peers: Peer) -> bool:
    """Whether nothing was said to them that they have not taken."""
    return all(peer.inbox == [] for peer in peers)


def hung_up(*peers: Peer) -> None:
    """They are told that it is over, and believe it."""
    for peer in peers:
        peer.answer(peer.take_request("BYE"), 200)
