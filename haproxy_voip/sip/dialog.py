"""Dialogs (RFC 3261 section 12): what two user agents must remember of each other to send requests.

No timers and no transport: it makes requests without Via and Contact, and checks those that come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import NameAddr
from haproxy_voip.sip.hop import MAX_FORWARDS
from haproxy_voip.sip.message import Header, Message, Request, Response, header
from haproxy_voip.sip.uri import Uri

MAX_ROUTES = 64  # a longer route set makes each of our requests larger than we would take ourselves

# Requests, and their 2xx, whose Contact replaces the remote target: 12.2, RFC 3311, RFC 3515, RFC 6665.
TARGET_REFRESH = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
# Their CSeq repeats the INVITE's, which newer requests may have overtaken (9.1, 13.2.2.4).
_CSEQ_OF_INVITE = frozenset({"ACK", "CANCEL"})

DialogKey = tuple[str, str, str]  # Call-ID, local tag, remote tag


class DialogState(StrEnum):
    """12: early until a 2xx."""

    EARLY = "early"
    CONFIRMED = "confirmed"


@dataclass(slots=True, eq=False)
class Dialog:
    """One side's view of a dialog. It is found by `key`; messages say theirs by `key_of_*`."""

    call_id: str
    local_tag: str
    remote_tag: str  # "" when an RFC 2543 caller gave none (12.1.1)
    local_uri: str  # our From, without the tag
    remote_uri: str  # our To, without the tag
    remote_target: str  # URI text: the Request-URI of what we send
    route_set: list[str]  # Route values, nearest first
    secure: bool  # whether every hop must be TLS (sips)
    local_seq: int | None = None  # CSeq of our last request; None before it
    remote_seq: int | None = None  # CSeq of the peer's last request; None before it
    state: DialogState = DialogState.EARLY

    # --- making ------------------------------------------------------------------------------------------------

    @classmethod
    def from_request_uas(cls, request: Request, local_tag: str) -> Dialog:
        """The dialog our response with `local_tag` in To makes (12.1.1).

        Raises MessageError(400) when the request has no usable Contact.
        """
        return cls(
            call_id=request.call_id,
            local_tag=local_tag,
            # 12.1.1: "A UAS MUST be prepared to receive a request without a tag in the From field, in which case
            # the tag is considered to have a value of null."
            remote_tag=request.from_.tag or "",
            local_uri=_without_tag(request.to, request.get("to")),
            remote_uri=_without_tag(request.from_, request.get("from")),
            remote_target=_target_of(request),
            route_set=_recorded(request),
            secure=request.request_uri.scheme == "sips",
            remote_seq=request.cseq.number,
        )

    @classmethod
    def from_response_uac(cls, request: Request, response: Response) -> Dialog:
        """The dialog a 101-299 makes (12.1.2): early, or confirmed at once.

        Raises MessageError when the response has no To tag: such RFC 2543 peers are refused. Each fork's
        response has its own, and so makes its own dialog.
        """
        remote_tag = response.to.tag
        if not remote_tag:
            raise MessageError(f"{response.status} without a To tag makes no dialog", 502)
        return cls(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=remote_tag,
            local_uri=_without_tag(request.from_, request.get("from")),
            remote_uri=_without_tag(request.to, request.get("to")),
            # COMPAT: many leave Contact out of 18x; until the 2xx brings it, the callee is where the INVITE went.
            remote_target=_target_of(response) if response.has("contact") else request.uri,
            route_set=_recorded(response)[::-1],
            secure=request.request_uri.scheme == "sips",
            local_seq=request.cseq.number,
            state=DialogState.EARLY if response.status < 200 else DialogState.CONFIRMED,
        )

    def confirm(self, response: Response | None = None) -> None:
        """A 2xx ends the early state: the peer's `response`, or our own.

        13.2.2.4: "the route set MUST be recomputed based on the 2xx response". A dialog that is confirmed keeps
        its route set (12.2).
        """
        if self.state is DialogState.EARLY and response is not None:
            self.route_set = _recorded(response)[::-1]
        self.state = DialogState.CONFIRMED
        if response is not None:
            self.refresh_target(response)

    # --- finding -----------------------------------------------------------------------------------------------

    @property
    def key(self) -> DialogKey:
        """12: Call-ID, local tag, remote tag."""
        return self.call_id, self.local_tag, self.remote_tag

    @staticmethod
    def key_of_request(request: Request) -> DialogKey | None:
        """Whose a request is that we received; None when it is outside any dialog."""
        local_tag = request.to.tag
        return None if local_tag is None else (request.call_id, local_tag, request.from_.tag or "")

    @staticmethod
    def key_of_response(response: Response) -> DialogKey:
        """Whose a response is that we received."""
        return response.call_id, response.from_.tag or "", response.to.tag or ""

    # --- sending -----------------------------------------------------------------------------------------------

    def request(self, method: str, headers: Sequence[Header] = (), body: bytes = b"") -> Request:
        """The next request within the dialog (12.2.1.1); Via and Contact are the sender's to add."""
        assert method not in _CSEQ_OF_INVITE, method
        self.local_seq = 1 if self.local_seq is None else self.local_seq + 1
        return self._request(method, self.local_seq, headers, body)

    def ack(self, cseq_number: int, headers: Sequence[Header] = (), body: bytes = b"") -> Request:
        """The ACK for a 2xx to the INVITE with this CSeq (13.2.2.4).

        `headers` repeat that INVITE's Authorization and Proxy-Authorization (22.1).
        """
        return self._request("ACK", cseq_number, headers, body)

    @property
    def next_hop(self) -> str:
        """The URI to send to (8.1.2): the first route's, else the remote target."""
        return str(NameAddr.parse(self.route_set[0]).uri) if self.route_set else self.remote_target

    def _request(self, method: str, cseq_number: int, headers: Sequence[Header], body: bytes) -> Request:
        uri, routes = self._route()
        lines = [header("max-forwards", MAX_FORWARDS)]
        lines += [header("route", route) for route in routes]
        lines += [
            header("from", _with_tag(self.local_uri, self.local_tag)),
            header("to", _with_tag(self.remote_uri, self.remote_tag)),
            header("call-id", self.call_id),
            header("cseq", f"{cseq_number} {method}"),
            *headers,
        ]
        return Request(method, uri, lines, body)

    def _route(self) -> tuple[str, list[str]]:
        """Request-URI and Route values (12.2.1.1)."""
        if not self.route_set:
            return self.remote_target, []
        first = NameAddr.parse(self.route_set[0]).uri
        if first.loose:
            return self.remote_target, self.route_set
        # A strict router (RFC 2543): "place the first URI from the route set into the Request-URI, stripping any
        # parameters that are not allowed in a Request-URI", the rest into Route, the remote target at its end.
        return _as_request_uri(first), [*self.route_set[1:], f"<{self.remote_target}>"]

    # --- receiving ---------------------------------------------------------------------------------------------

    def accepts(self, request: Request) -> None:
        """Take note of a request within the dialog. Raises MessageError(500) when it is out of order (12.2.2)."""
        if request.method in _CSEQ_OF_INVITE:
            return
        number = request.cseq.number
        if self.remote_seq is not None and number < self.remote_seq:
            raise MessageError(f"CSeq {number} after {self.remote_seq}", 500)
        self.remote_seq = number

    def refresh_target(self, message: Request | Response) -> None:
        """Follow the peer to the Contact of a target refresh request, or of its 2xx (12.2.1.2, 12.2.2).

        Anything else changes nothing, and nothing changes the route set. Raises MessageError when the Contact
        cannot be read.
        """
        if isinstance(message, Response) and not 200 <= message.status < 300:
            return
        if message.cseq.method in TARGET_REFRESH and message.has("contact"):
            self.remote_target = _target_of(message)


def _target_of(message: Message) -> str:
    contacts = message.contacts
    if len(contacts) != 1 or contacts[0].star:
        # 8.1.1.8 and 12.1.1: exactly one, for there is one place to send the next request to.
        raise MessageError(f"{len(contacts)} Contacts where one address is needed")
    return _as_request_uri(contacts[0].uri)


def _as_request_uri(uri: Uri) -> str:
    """19.1.1, table 1: no headers and no method parameter in a Request-URI."""
    if uri.headers:
        uri = replace(uri, headers=())
    return str(uri if uri.param("method") is None else uri.without_param("method"))


def _recorded(message: Message) -> list[str]:
    """Record-Route as it came, parameters and all (12.1.1). Raises MessageError when one cannot be read."""
    count = len(message.record_routes)
    if count > MAX_ROUTES:
        raise MessageError(f"{count} Record-Route values, more than {MAX_ROUTES}")
    return message.values("record-route") if count else []


def _without_tag(address: NameAddr, text: str | None) -> str:
    """As it came where that is a name-addr whose only parameter is the tag, as it nearly always is."""
    bare = (text or "").removesuffix(f";tag={address.tag}")
    return bare if bare.endswith(">") else str(address.without_param("tag"))


def _with_tag(text: str, tag: str) -> str:
    return f"{text};tag={tag}" if tag else text
