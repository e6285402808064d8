"""A response that cannot be used: its Contact, To or the like is broken.

Nobody can be told that a response is bad. A provisional is ignored; in place of a final one its owner is told 502,
so that whoever waits for it waits no longer. A 2xx to an INVITE has made a dialog nevertheless, which is
acknowledged and ended (RFC 3261 section 13.2.2.4) as far as the response says where.
"""

from __future__ import annotations

from haproxy_voip.proxy.farewell import Silent
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.dialog import Dialog
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, response_to
from haproxy_voip.sip.transactions import ClientTransaction

BAD_GATEWAY = 502
# What a dialog is made of besides tags. Without them requests go to the URI and along the path of the INVITE.
DISPENSABLE: tuple[tuple[str, ...], ...] = ((), ("contact",), ("contact", "record-route"))


def stand_in(request: Request) -> Response:
    """What the owner of this request is told in place of an unusable final response."""
    return response_to(request, BAD_GATEWAY)


def undo(shared: Shared, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
    """Acknowledge a 2xx to an INVITE, and end the dialog it made. What cannot be acknowledged gives up by itself."""
    request = transaction.request
    if not transaction.is_invite or not 200 <= response.status < 300:
        return []
    if request.to.tag is not None:
        # A re-INVITE: its dialog is known, and ending it is up to the owner.
        leg = shared.legs.find(request.call_id, request.from_.tag or "", request.to.tag)
        return [] if leg is None else shared.send_ack(leg, request.cseq.number)
    dialog = _dialog(request, response)
    if dialog is None:
        return []
    ack = shared.acknowledgement(dialog, transaction.flow, request.cseq.number)
    return [ack, *shared.ask(dialog.request("BYE"), transaction.flow, Silent(), now)[1]]


def _dialog(request: Request, response: Response) -> Dialog | None:
    for names in DISPENSABLE:
        lines = [line for line in response.headers if line[0] not in names]
        try:
            return Dialog.from_response_uac(request, Response(response.status, response.reason, lines))
        except MessageError:
            continue
    return None
