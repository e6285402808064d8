"""A carrier on the stage: calls over it both ways, and conversations of which one end is there."""

from __future__ import annotations

from ipaddress import ip_network

from haproxy_voip.configuration.peers import TrunkConfig, TrunkRegisterConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.sip.message import Request, Response
from tests.proxy.conversation import Conversation, dial, ring, theatre
from tests.proxy.stage import DOMAIN, USERS, Peer, Stage
from tests.proxy.talk import Talk, sdp

ADDRESS = Address("203.0.113.5", 5060)
NETWORK = ip_network("203.0.113.0/28")
ACCOUNT = TrunkRegisterConfig(user="4930555", password="wire", domain="carrier.example")
# A number outside, as the dial plans send it and as it is dialled; who calls from outside; what backends show outside.
OUTSIDE, DIALLED, STRANGER, OURS = "+493012345", "0003012345", "+4917199", "+4930555"


def trunk(name: str = "carrier", **changes: object) -> TrunkConfig:
    """One that does not register."""
    fields: dict[str, object] = {"address": Endpoint(Transport.UDP, ADDRESS), "from_": (NETWORK,), **changes}
    return TrunkConfig(name=name, **fields)  # type: ignore[arg-type]


def exchange(*trunks: TrunkConfig, **changes: object) -> Stage:
    """A stage with these, or one."""
    return theatre(USERS, trunks=trunks or (trunk(),), **changes)


def gateway(stage: Stage, number: int = 7) -> Peer:
    """Another of the carrier's hosts, with media of its own."""
    return stage.client(f"gateway{number}", f"{ADDRESS.host[:-1]}{number}")


def take_registration(stage: Stage, seconds: int = 3600) -> Request:
    """The carrier takes the REGISTER that waits for its answer."""
    carrier = stage.carriers["carrier"]
    request = carrier.take_request("REGISTER")
    carrier.answer(request, 200, contact=f"{request.get('contact')};expires={seconds}")
    return request


def from_outside(stage: Stage, number: str = "1002", caller: str = STRANGER, **headers: str) -> Talk:
    """The carrier calls through alpha; nothing was answered yet."""
    carrier = stage.carriers["carrier"]
    headers.setdefault("from_", f"<sip:{caller}@{ADDRESS.host}>;tag=c{carrier.count}")
    invite = carrier.new("INVITE", f"sip:{number}@127.0.0.10:5060", body=sdp(carrier, 7900), **headers)
    carrier.send(invite)
    carrier.take(100)
    return Talk(stage, carrier, stage.alpha, invite, stage.alpha.take_request("INVITE"))


def sent_out(stage: Stage, backend: str = "alpha", caller: str = OURS, *, port: int = 9002, **headers: str) -> Request:
    """This backend calls a number over the carrier."""
    pbx = stage.backends[backend]
    headers.setdefault("from_", f"<sip:{caller}@{pbx.host}>;tag={backend}{pbx.count}")
    number, name = headers.pop("number", OUTSIDE), headers.pop("trunk", "carrier")
    invite = pbx.new("INVITE", f"sip:{number}@127.0.0.10:5060;trunk={name}", body=sdp(pbx, port), **headers)
    pbx.send(invite)
    return invite


def to_outside(stage: Stage, backend: str = "alpha", caller: str = OURS, **headers: str) -> Talk:
    """The same, as the carrier gets it."""
    invite = sent_out(stage, backend, caller, **headers)
    pbx, carrier = stage.backends[backend], stage.carriers["carrier"]
    pbx.take(100)
    return Talk(stage, pbx, carrier, invite, carrier.take_request("INVITE"))


class Outward(Conversation):
    """Of a phone with somebody outside."""

    def claimed(self, backend: str = "beta", offer: bytes | None = None) -> Response:
        pbx = self.theirs.caller = self.stage.backends[backend]
        self.invited(backend)
        caller = self.theirs.invite.from_.uri.user or ""
        self.theirs.invite = sent_out(self.stage, backend, caller, port=9502)
        self.theirs.ok = pbx.take_response(200)
        pbx.ack(self.theirs.invite, self.theirs.ok)
        return self.theirs.ok


def phone_calls_outside(stage: Stage, caller: str = "1001", shown: str = OURS, *, after: float = 0.01) -> Outward:
    """They talk through alpha, which shows the carrier a number of its own."""
    ours, theirs = dial(stage, caller, DIALLED), to_outside(stage, caller=shown)
    return Outward(stage, *_answered(stage, ours, theirs, after))


def phone_is_called(stage: Stage, callee: str = "1002", caller: str = STRANGER, *, after: float = 0.01) -> Conversation:
    """Somebody outside talks to a phone through alpha."""
    ours, theirs = from_outside(stage, callee, caller), ring(stage, "alpha", caller, callee)
    return Conversation(stage, *_answered(stage, ours, theirs, after))


def _answered(stage: Stage, ours: Talk, theirs: Talk, after: float) -> tuple[Talk, Talk]:
    theirs.answer(sdp(theirs.callee, 7000))
    theirs.acknowledge()
    stage.pass_time(after)
    ours.answer(sdp(stage.alpha, 9000))
    ours.acknowledge()
    return ours, theirs


def hears_of(peer: Peer, name: str) -> str | None:
    """This header of the last INVITE that the peer was sent."""
    invites = [one for one in peer.seen if isinstance(one, Request) and one.method == "INVITE"]
    return invites[-1].get(name)


def at_home(number: str) -> str:
    """A number in our own domain."""
    return f"sip:{number}@{DOMAIN}"
