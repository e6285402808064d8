"""An answered call at another backend: the INVITE in the client's name; the client's standing answer to an INVITE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import SDP
from haproxy_voip.proxy.shared import Shared
from haproxy_voip.sip.message import Request, Response, header, response_to
from haproxy_voip.sip.sdp import Description, parse
from haproxy_voip.sip.sdp.narrowing import answering, narrowed

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.caller import Incoming

# They name dialogs that ended with the former backend; what they asked for was done when it answered.
OF_THE_FIRST_INVITE = frozenset({"replaces", "join", "target-dialog", "require"})


def again(shared: Shared, call: Call, callee: Invitation, incoming: Incoming, contact: str) -> Request:
    """The client's INVITE once more, in the terms that were agreed on since."""
    request = callee.request(shared, incoming.request, contact)
    for item in shared.topology.carried(incoming.request, incoming.hidden):
        if item[0] not in OF_THE_FIRST_INVITE:
            request.headers.append(item)
    request.headers.extend(callee.marks(call.token))
    terms = call.session.terms(Side.CLIENT)
    if terms is not None:
        request.set("session-expires", terms)
    session = call.media.described(Side.CLIENT)
    if session is not None:
        agreed = _agreed(call)
        body = call.media.written(parse(narrowed(session, agreed)), Side.BACKEND, None)
        request.set("content-type", SDP)
        request.body = shared.topology.without_hosts(body, call.client_leg.hidden)
    return request


def standing_answer(shared: Shared, call: Call, invite: Request, leg: Leg, offer: Description | None) -> Response:
    """The client's standing answer, on this leg; to an INVITE without offer, the same as an offer."""
    answer = response_to(invite, 200, None, leg.dialog.local_tag)
    answer.headers.extend(item for item in invite.headers if item[0] == "record-route")
    answer.add("Contact", leg.contact)
    terms = call.session.terms(Side.BACKEND)
    if terms is not None and "timer" in invite.option_tags("supported"):
        answer.add("Session-Expires", terms)
        answer.add("Require", "timer")
    session = call.media.described(Side.CLIENT)
    if session is not None:
        text = narrowed(session, _agreed(call)) if offer is None else answering(session, offer)
        answer.headers.append(header("Content-Type", SDP))
        body = call.media.written(parse(text), Side.BACKEND, leg)
        answer.body = shared.topology.without_hosts(body, call.client_leg.hidden)
    return answer


def _agreed(call: Call) -> Description | None:
    """What the last backend that carried the call had agreed to."""
    return call.media.described(Side.BACKEND) if call.survival is None else call.survival.agreed
