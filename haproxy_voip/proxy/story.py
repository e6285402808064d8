"""What people are told of what goes on within a call. It only looks; nothing here changes a call."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote

from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.call_facts import (
    CallDialog,
    CallFact,
    CallHeld,
    CallReferred,
    CallResumed,
    CallRings,
    CallTransferred,
)
from haproxy_voip.proxy.facts import CallStarted
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.session import NEGOTIATING, ends_transfer, reports_none
from haproxy_voip.proxy.shared import Shared
from haproxy_voip.proxy.topology import TOKEN_HEADER
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import NameAddr, Replaces
from haproxy_voip.sip.message import Request, Response

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.caller import Incoming


def party(call: Call, side: Side) -> str:
    """Who of the two this side is."""
    return "callee" if side is call.callee.side else "caller"


def started(call: Call, incoming: Incoming) -> list[CallStarted | CallFact]:
    """An INVITE was taken for forwarding."""
    side = call.callee.side.other
    trunk = None if call.trunk is None else call.trunk.name
    origin = incoming.request.get(TOKEN_HEADER)
    begun = CallStarted(
        call.token, call.caller_name, call.callee.name, call.backend, side is Side.CLIENT, origin, trunk
    )
    return [begun, dialog(call, side, incoming.request, incoming.flow)]


def dialog(call: Call, side: Side, invite: Request, flow: Flow) -> CallDialog:
    """This INVITE came from there, or leaves for it."""
    backend = call.backend if side is Side.BACKEND else None
    where = f"{flow.transport}:{flow.remote}"
    return CallDialog(call.token, party(call, side), backend, invite.get("call-id") or "", where)


def rings(call: Call, status: int, after: float) -> list[CallRings]:
    """A provisional response, about to be passed on; only the first is told."""
    return [] if call.state == "ringing" else [CallRings(call.token, status, after)]


def crossed(call: Call, request: Request, answer: Response | None, far: Leg, shared: Shared) -> list[CallFact]:
    """A request within the call was answered by who is on the `far` leg."""
    if answer is None or answer.status >= 300:
        return []
    if request.method in NEGOTIATING:
        return _held(call, far.side.other)
    if request.method == "REFER" and not reports_none(request, answer):
        return [_referred(call, request, far.side.other, shared)]
    if request.method == "NOTIFY" and ends_transfer(request):
        return [CallTransferred(call.token, _status_in(request.body))]
    return []


def _held(call: Call, asker: Side) -> list[CallFact]:
    """Whether somebody holds the call now who did not, or the other way round.

    When both are silent the asker holds: an answer to `inactive` can be nothing else (RFC 3264 section 6.1).
    """
    before = call.session.held_by
    now = next((side for side in (asker, asker.other) if call.media.silent(side)), None)
    call.session.held_by = now
    if now is before:
        return []
    told: list[CallFact] = []
    if before is not None:
        told.append(CallResumed(call.token, party(call, before)))
    if now is not None:
        told.append(CallHeld(call.token, party(call, now)))
    return told


def _referred(call: Call, refer: Request, asker: Side, shared: Shared) -> CallReferred:
    target, replaced = "", None
    with suppress(MessageError):  # who was asked has understood it, and that counts
        uri = NameAddr.parse(refer.get("refer-to") or "").uri
        target = uri.username
        for name, value in uri.headers:
            if name.lower() == "replaces":
                replaced = _call_of(Replaces.parse(unquote(value)), shared)
    return CallReferred(call.token, party(call, asker), target, replaced)


def _call_of(replaces: Replaces, shared: Shared) -> str:
    """The token of the call this dialog belongs to; "" when it is none of ours."""
    for local, remote in ((replaces.to_tag, replaces.from_tag), (replaces.from_tag, replaces.to_tag)):
        leg = shared.legs.find(replaces.call_id, local, remote)
        if leg is not None:
            return leg.bridge.token
    return ""


def _status_in(body: bytes) -> int:
    """Of a message/sipfrag (RFC 3420): the status line comes first."""
    words = body[:32].split()
    return int(words[1]) if len(words) > 1 and len(words[1]) == 3 and words[1].isdigit() else 0
