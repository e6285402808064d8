"""What happened, for people. Logs, records and `status` read these; protocol code never mentions a reader."""

from __future__ import annotations

from dataclasses import dataclass, field

from haproxy_voip.cluster.detector import BackendDown, BackendUp
from haproxy_voip.cluster.pool import ActiveChanged
from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.call_facts import CallFact
from haproxy_voip.proxy.chat_facts import ChatFact
from haproxy_voip.proxy.guard_facts import BackendUnguarded
from haproxy_voip.proxy.limit_facts import LimitFact
from haproxy_voip.proxy.stop_facts import StopFact
from haproxy_voip.proxy.trunk_facts import TrunkFact


@dataclass(slots=True)
class MessageRefused:
    """A peer sent something we cannot take; it got `status`, or nothing when that is 0."""

    flow: Flow
    status: int
    reason: str

    def __str__(self) -> str:
        return f"refused a message from {self.flow.transport}:{self.flow.remote}: {self.status} {self.reason}"


@dataclass(slots=True)
class AuthenticationFailed:
    """Credentials were offered and are wrong."""

    user: str
    flow: Flow
    reason: str

    def __str__(self) -> str:
        return f"wrong credentials for {self.user!r} from {self.flow.transport}:{self.flow.remote}: {self.reason}"


@dataclass(slots=True)
class Registered:
    """A client registered a contact it did not have before."""

    user: str
    contact: str
    flow: Flow

    def __str__(self) -> str:
        return f"{self.user} registered {self.contact} from {self.flow.transport}:{self.flow.remote}"


@dataclass(slots=True)
class Unregistered:
    """A contact is gone."""

    user: str
    contact: str
    reason: str

    def __str__(self) -> str:
        return f"{self.user} is no longer at {self.contact}: {self.reason}"


@dataclass(slots=True)
class RegistrationRefused:
    """A backend does not take one of our registrations; tried again at `retry_in` seconds from now."""

    backend: str
    user: str
    reason: str
    retry_in: float

    def __str__(self) -> str:
        return (
            f"{self.backend} refuses to register {self.user}: {self.reason}; trying again in {self.retry_in:.1f} s. "
            f"Check that {self.backend} knows this user with the same password, or trusts our address"
        )


@dataclass(slots=True)
class RegistrationsPaused:
    """A backend has too much to do, or cannot be reached: it is asked for no registration for `seconds`."""

    backend: str
    reason: str
    seconds: float
    waiting: int

    def __str__(self) -> str:
        return f"{self.backend} cannot keep up ({self.reason}): {self.waiting} registrations wait {self.seconds:.1f} s"


@dataclass(slots=True)
class BackendRestarted:
    """A backend was restarted faster than its absence could be noticed; what it knew of us is told it again."""

    backend: str

    def __str__(self) -> str:
        return f"{self.backend} was restarted: registering and subscribing again, checking its calls"


@dataclass(slots=True)
class CallStarted:
    """An INVITE was accepted for forwarding."""

    call: str
    caller: str
    callee: str
    backend: str
    from_phone: bool = True  # False: the backend calls a phone
    origin: str | None = None  # the call from a phone that this one is the other end of, where the backend says so
    trunk: str | None = None  # that is in the phone's place

    def __str__(self) -> str:
        over = "" if self.trunk is None else f" {'from' if self.from_phone else 'to'} trunk {self.trunk}"
        return f"call {self.call}: {self.caller} calls {self.callee} over {self.backend}{over}"


@dataclass(slots=True)
class CallAnswered:
    """The callee's 2xx went to the caller, `after` seconds from the INVITE."""

    call: str
    after: float

    def __str__(self) -> str:
        return f"call {self.call}: answered after {self.after:.3f} s"


@dataclass(slots=True)
class CallMoved:
    """A call is to go on at another backend: whether it was answered or not, this one is asked now."""

    call: str
    old: str
    new: str
    reason: str

    def __str__(self) -> str:
        return f"call {self.call}: moved from {self.old} to {self.new}: {self.reason}"


@dataclass(slots=True)
class CallEnded:
    """Nothing of the call is left. `talked` is seconds from answer to end, 0 when never answered."""

    call: str
    reason: str
    talked: float
    by: str = "proxy"  # or caller, callee: who ended it
    status: int = 0  # the final response, of a call that was not answered

    def __str__(self) -> str:
        return f"call {self.call}: ended after {self.talked:.1f} s of talk: {self.reason}"


@dataclass(slots=True)
class CallJoined:
    """Two calls that are one conversation hear each other directly in the relay, because their backend is gone."""

    call: str
    partner: str
    backend: str  # that carried them until now
    happened_at: float  # seconds on the node's clock

    def __str__(self) -> str:
        return f"call {self.call}: joined directly to call {self.partner}, without {self.backend}"


@dataclass(slots=True)
class CallCarried:
    """An answered call that had to leave its backend is on another one: both dialogs stand."""

    call: str
    backend: str
    after: float  # seconds since its former backend was judged down, or since an operator had it moved
    happened_at: float  # seconds on the node's clock

    def __str__(self) -> str:
        return f"call {self.call}: carried by {self.backend} after {self.after * 1000:.0f} ms"


@dataclass(slots=True)
class CallStaysJoined:
    """No backend takes this conversation of two calls; they are joined directly until somebody hangs up."""

    call: str
    partner: str
    backend: str  # that was asked last, or died
    reason: str
    happened_at: float  # seconds on the node's clock

    def __str__(self) -> str:
        return f"call {self.call}: goes on without a backend, joined to call {self.partner}: {self.reason}"


@dataclass(slots=True)
class CallNotMoved:
    """An operator wants this call to leave its backend; it stays there until it ends."""

    call: str
    backend: str
    reason: str
    happened_at: float  # seconds on the node's clock

    def __str__(self) -> str:
        return f"call {self.call}: stays on {self.backend}: {self.reason}"


@dataclass(slots=True)
class TooFewBackends:
    """Fewer backends get new calls than the panic threshold wants, or enough again."""

    panic: bool
    percent_up: int  # of all weight
    threshold: int  # percent

    def __str__(self) -> str:
        compared = "less" if self.panic else "not less"
        so = "; calls beyond max_calls are answered 503" if self.panic else ""
        return f"{self.percent_up} % of the backends' weight can get calls, {compared} than panic: {self.threshold}{so}"


@dataclass(slots=True)
class FailoverRecord:
    """One backend's end and what became of everything on it."""

    backend: str
    successor: str | None  # with another balance than failover all of them
    signal: str
    detected_after: float  # seconds from the first sign to the judgement
    moved: dict[str, int] = field(default_factory=dict)  # kind of thing -> how many go on at the successor
    lost: dict[str, int] = field(default_factory=dict)  # "kind: why" -> how many ended
    judged_at: float = 0.0  # seconds on the node's clock
    # What came of the answered calls among `moved`: "carried", "joined" (without a backend), "ended", and "under way"
    # until it is known, 6 s after the judgement at the latest but for calls that wait for others of their caller.
    calls: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        moved = ", ".join(f"{count} {kind}" for kind, count in self.moved.items()) or "nothing"
        lost = ", ".join(f"{count} {why}" for why, count in self.lost.items()) or "nothing"
        return (
            f"failover {self.backend} -> {self.successor or 'nobody'} on {self.signal}, detected after "
            f"{self.detected_after * 1000:.0f} ms; moved: {moved}; ended: {lost}"
        )


@dataclass(slots=True)
class FailoverSettled:
    """It is known of every answered call what came of it when its backend was left."""

    backend: str
    carried: int  # by other backends
    joined: int  # directly, as no backend takes them
    ended: int
    after: float  # seconds from the judgement, or an operator's command, to the last of them
    happened_at: float  # seconds on the node's clock

    def __str__(self) -> str:
        return (
            f"calls of {self.backend}, {self.after * 1000:.0f} ms later: {self.carried} carried by others, "
            f"{self.joined} joined without a backend, {self.ended} ended"
        )


@dataclass(slots=True)
class MediaTrouble:
    """A media stream cannot be relayed."""

    stream: int
    reason: str

    def __str__(self) -> str:
        return f"media stream {self.stream} cannot be relayed: {self.reason}"


@dataclass(slots=True)
class MediaCarried:
    """What a stream had relayed when it ended. Packets and losses are of RTP (or UDPTL), by who sent them."""

    stream: int
    client_packets: int
    client_lost: int
    client_jitter: float  # seconds, RFC 3550 section 6.4.1
    backend_packets: int
    backend_lost: int
    backend_jitter: float
    call: str = ""  # whose stream it was
    codec: str = ""  # `pcmu/8000`; "" when the two sides had none in common

    def __str__(self) -> str:
        client = _carried(self.client_packets, self.client_lost, self.client_jitter)
        backend = _carried(self.backend_packets, self.backend_lost, self.backend_jitter)
        return f"media stream {self.stream} ended: from the client {client}; from the backend {backend}"


def _carried(packets: int, lost: int, jitter: float) -> str:
    return f"{packets} packets, {lost} lost, jitter {jitter * 1000:.1f} ms"


@dataclass(slots=True)
class SessionFailed:
    """A mistake of ours: an exception while something was done with this one thing, whose session was ended."""

    what: str
    error: str
    where: str  # innermost first

    def __str__(self) -> str:
        return f"internal error with {self.what}, which is lost; everything else goes on: {self.error} ({self.where})"


@dataclass(slots=True)
class BackendRemembered:
    """A backend is back and is told of what ended in its absence."""

    backend: str
    dialogs: int

    def __str__(self) -> str:
        return f"{self.backend} is back: ending {self.dialogs} calls it may still believe in"


@dataclass(slots=True)
class AdminChanged:
    """An operator changed the state of a backend."""

    backend: str
    state: str

    def __str__(self) -> str:
        return f"{self.backend} is now {self.state} by command"


@dataclass(slots=True)
class BackendLeaves:
    """A backend was removed from the configuration."""

    backend: str
    service: str
    calls: int = 0  # that are there

    def __str__(self) -> str:
        left = f"{self.calls} calls there stay until they end" if self.service == "sip" else "its sessions move"
        return f"{self.backend} ({self.service}) was removed: {left}"


@dataclass(slots=True)
class BackendGone:
    """Nothing is left of a backend that was removed; it is not checked any more."""

    backend: str
    service: str = "sip"

    def __str__(self) -> str:
        return f"{self.backend} ({self.service}) was removed and is gone"


NodeFact = (
    MessageRefused
    | AuthenticationFailed
    | Registered
    | Unregistered
    | RegistrationRefused
    | RegistrationsPaused
    | TrunkFact
    | LimitFact
    | StopFact
    | CallStarted
    | CallAnswered
    | CallMoved
    | CallJoined
    | CallCarried
    | CallStaysJoined
    | CallNotMoved
    | CallFact
    | ChatFact
    | CallEnded
    | FailoverRecord
    | FailoverSettled
    | MediaTrouble
    | MediaCarried
    | SessionFailed
    | BackendRemembered
    | BackendRestarted
    | BackendUnguarded
    | BackendLeaves
    | BackendGone
    | AdminChanged
    | BackendDown
    | BackendUp
    | ActiveChanged
    | TooFewBackends
)
