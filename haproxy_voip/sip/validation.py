"""What RFC 3261 demands of any message before anyone looks at what it asks for (sections 8.1.1, 8.1.3.3, 8.2, 16.3)."""

from __future__ import annotations

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, about
from haproxy_voip.sip.names import SINGLE, canonical

_KNOWN_SCHEMES = ("sip", "sips", "tel")


def validate(message: Request | Response) -> None:
    """Raise MessageError(400, 416) when the message is not what RFC 3261 demands; a response is then to be dropped.

    Afterwards top_via, from_, to, cseq and call_id do not raise, and for a request neither do contacts, routes,
    record_routes, max_forwards, expires and request_uri.
    """
    try:
        _check_any(message)
        if isinstance(message, Request):
            _check_request(message, message.index())
    except MessageError as error:
        raise about(message, error.reason, error.status) from None


def _check_any(message: Request | Response) -> None:
    lines = message.index()
    # 8.1.1 wants these and Max-Forwards, which RFC 2543 had optional: each raises when it is missing.
    _ = message.top_via, message.from_, message.to, message.cseq
    call_id = message.call_id
    if " " in call_id or "\t" in call_id:
        raise MessageError(f"Call-ID holds whitespace: {call_id!r}")
    if len(lines) < len(message.headers):
        _check_single(message)


def _check_request(request: Request, lines: dict[str, str]) -> None:
    cseq = request.cseq
    if cseq.method != request.method:
        raise MessageError(f"CSeq is for {cseq.method}, the request is {request.method}")
    if request.method == "REGISTER" and not request.to.uri.is_sip:
        # 10.2, To: "this address-of-record MUST be a SIP URI or SIPS URI"
        raise MessageError(f"no address-of-record: {request.to.uri}")
    if "contact" in lines:
        _check_contacts(request)
    if "max-forwards" in lines:
        _ = request.max_forwards
    if "route" in lines or "record-route" in lines or "expires" in lines:
        _ = request.routes, request.record_routes, request.expires
    _check_request_uri(request)


def _check_single(message: Request | Response) -> None:
    seen: set[str] = set()
    for name, _, _ in message.headers:
        if name in seen and name in SINGLE:
            raise MessageError(f"{canonical(name)} comes twice")
        seen.add(name)


def _check_contacts(request: Request) -> None:
    contacts = request.contacts
    starred = [contact for contact in contacts if contact.star]
    if starred and (request.method != "REGISTER" or len(contacts) > 1):
        # 20.10 with 10.2.2: "*" stands alone, and in a REGISTER only.
        raise MessageError("Contact: * among others, or in no REGISTER")


def _check_request_uri(request: Request) -> None:
    uri = request.request_uri
    if uri.scheme not in _KNOWN_SCHEMES:
        raise MessageError(f"the scheme {uri.scheme} is unknown here", 416)  # 8.2.2.1, 16.3 item 2
    if uri.headers:
        # 19.1.1, table 1: headers are not allowed in a Request-URI.
        raise MessageError(f"the Request-URI holds headers: {request.uri!r}")
