"""What belongs to one hop: the Via on the way in and out, where responses go, and the ACK and CANCEL that
end at the next hop (RFC 3261 sections 9.1, 17.1.1.3, 18.2; RFC 3581).
"""

from __future__ import annotations

from collections.abc import Iterable

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import Via
from haproxy_voip.sip.message import Header, Request, Response, header

SIP_PORT = 5060  # 19.1.2: where a sent-by without port means
MAX_FORWARDS = "70"  # 8.1.1.6

_PROTOCOL = {transport: f"SIP/2.0/{transport.upper()}" for transport in Transport}
_SOURCE = ("received", "rport")


def via_value(transport: Transport, sent_by: str, branch: str) -> str:
    """Our Via. It asks for `rport` (RFC 3581 section 3): we may sit behind a NAT ourselves."""
    return f"{_PROTOCOL[transport]} {sent_by};branch={branch};rport"


def mark_source(request: Request, via: Via, source: Address) -> None:
    """Write into the top Via, which is `via`, where the request really came from.

    18.2.1: `received` when sent-by says something else; RFC 3581 section 4: both when `rport` is asked for.
    """
    asked = via.param("rport") is not None
    if not asked and via.host == source.host:
        return
    params = tuple([pair for pair in via.params if pair[0] not in _SOURCE])
    params += (("received", source.host), ("rport", str(source.port))) if asked else (("received", source.host),)
    request.set_first("via", str(Via(via.transport, via.host, via.port, params)))


def reply_flow(via: Via, flow: Flow) -> Flow:
    """Where responses go to a request with this top Via (18.2.2, RFC 3581 section 4).

    `maddr` is not obeyed: with it anybody could aim our responses at anybody.
    """
    remote = flow.remote
    # COMPAT: behind a NAT, where sent-by is not the source, the source port is the only one that can work,
    # whether or not the phone has learnt to ask for rport.
    if flow.reliable or via.host != remote.host or via.param("rport") is not None:
        return flow
    port = via.port or SIP_PORT
    return flow if port == remote.port else flow._replace(remote=Address(remote.host, port))


def ack_to_failure(request: Request, response: Response) -> Request:
    """The ACK for a 300-699 (17.1.1.3): the INVITE's own Via and Route, the response's To."""
    try:
        _ = response.to
        to = response.get("to")
    except MessageError:
        to = request.get("to")  # what cannot be read is not sent on
    return _follow_up(request, "ACK", header("to", to or ""))


def cancel_of(request: Request, extra: Iterable[Header] = ()) -> Request:
    """The CANCEL of an INVITE we sent (9.1): everything that identifies it is the INVITE's."""
    cancel = _follow_up(request, "CANCEL", header("to", request.get("to") or ""))
    cancel.headers.extend(extra)
    return cancel


def _follow_up(request: Request, method: str, to: Header) -> Request:
    headers = []
    via = True
    for line in request.headers:
        match line[0]:
            case "via" if via:
                headers.append(line)
                via = False  # "a single Via header field value ... equal to the top Via"
            case "route" | "from" | "call-id":
                headers.append(line)
            case "to":
                headers.append(to)
            case "cseq":
                headers.append(header("cseq", f"{request.cseq.number} {method}"))
            case "max-forwards":
                headers.append(header("max-forwards", MAX_FORWARDS))
            case "authorization" | "proxy-authorization" if method == "ACK":
                headers.append(line)  # 22.1: an ACK repeats the INVITE's credentials
    return Request(method, request.uri, headers)
