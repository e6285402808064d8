"""The two kinds of transaction, and all the layer tells its user, the TU (RFC 3261 section 17)."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.core.address import Flow
from haproxy_voip.core.effects import Send
from haproxy_voip.sip.invite_client import InviteClient
from haproxy_voip.sip.invite_server import InviteServer
from haproxy_voip.sip.matching import Key
from haproxy_voip.sip.message import Header, Request, Response
from haproxy_voip.sip.non_invite_client import NonInviteClient
from haproxy_voip.sip.non_invite_server import NonInviteServer


@dataclass(slots=True, eq=False)
class ClientTransaction:
    """A request we sent."""

    request: Request  # with our Via
    flow: Flow
    owner: object  # whose it is: the TU's own business
    key: Key
    machine: InviteClient | NonInviteClient
    data: bytes  # the request on the wire, to be sent again
    quiet: bool = False  # a CANCEL of this layer's: nobody waits for its answer
    cancel_headers: tuple[Header, ...] | None = None  # set once the TU has asked for a CANCEL
    cancel_sent: bool = False
    ended: bool = False

    @property
    def state(self) -> str:
        """The machine's state, for people."""
        return self.machine.state

    @property
    def is_invite(self) -> bool:
        """Whether the request is an INVITE."""
        return isinstance(self.machine, InviteClient)

    @property
    def answered(self) -> bool:
        """Whether a final response came, or none will be passed on any more."""
        return self.ended or self.machine.answered


@dataclass(slots=True, eq=False)
class ServerTransaction:
    """A request we received."""

    request: Request  # its top Via says where it came from
    flow: Flow  # where responses go
    key: Key
    machine: InviteServer | NonInviteServer
    merge_key: Key | None
    owner: object = None  # whose it is: the TU's own business
    data: bytes = b""  # the last response on the wire, to be sent again
    last_status: int | None = None  # of the TU's last answer; our own 100 is none
    ended: bool = False

    @property
    def state(self) -> str:
        """The machine's state, for people."""
        return self.machine.state

    @property
    def is_invite(self) -> bool:
        """Whether the request is an INVITE."""
        return isinstance(self.machine, InviteServer)


@dataclass(slots=True)
class RequestReceived:
    """A new request, or the ACK for a 2xx: that one has no transaction."""

    transaction: ServerTransaction | None
    request: Request
    flow: Flow  # by which it came
    cancels: ServerTransaction | None = None  # of a CANCEL: the INVITE it means (9.2); None: answer 481


@dataclass(slots=True)
class ResponseReceived:
    """A provisional, the final response, or one of several 2xx to an INVITE; each of those wants its own ACK."""

    transaction: ClientTransaction
    response: Response


@dataclass(slots=True)
class TimedOut:
    """No final response will come; the TU treats it as 408 (8.1.3.1)."""

    transaction: ClientTransaction


@dataclass(slots=True)
class TransportFailed:
    """The flow broke before the final response; the TU treats it as 503 (8.1.3.1)."""

    transaction: ClientTransaction


@dataclass(slots=True)
class AckMissing:
    """A 300-699 of ours was never acknowledged. Nothing is left to do (17.2.1)."""

    transaction: ServerTransaction


@dataclass(slots=True)
class StrayResponse:
    """A response to nothing we know: a 2xx after RFC 6026's 64*T1, or an answer to what was abandoned."""

    response: Response
    flow: Flow


TransactionOutput = Send | RequestReceived | ResponseReceived | TimedOut | TransportFailed | AckMissing | StrayResponse


@dataclass(slots=True)
class Outgoing:
    """A request to send. It gets our Via; send a copy when the same one may go elsewhere later."""

    request: Request
    flow: Flow
    sent_by: str  # host[:port] for Via: where responses reach us
    owner: object = None
