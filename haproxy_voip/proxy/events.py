"""What reaches the node, besides the network's own events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Flow
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.effects import Service
from haproxy_voip.rtp.fingerprint import Print
from haproxy_voip.rtp.flow import Counters


@dataclass(slots=True)
class TlsStarted:
    """A chat stream is encrypted from here on: after `StartTls`, or right after the StreamOpened of an accepted one
    that began with TLS (XEP-0368). When the handshake fails, StreamClosed comes instead.
    """

    flow: Flow
    binding: bytes | None  # tls-server-end-point: the hash of the certificate we showed (RFC 5929 section 4)
    server_name: str | None  # what the client asked for (SNI); None when it did not, or when we are the client


@dataclass(slots=True)
class StreamProbeReply:
    """Bytes came back on the connection that was made for this `ProbeStream`."""

    backend: str
    number: int


@dataclass(slots=True)
class DeepProbeDone:
    """What came of the `ProbeDeeply` with this number."""

    backend: str
    number: int
    failure: str | None  # what did not work, for people; None: it was logged in, and pinged


@dataclass(slots=True)
class ProbeReply:
    """Bytes came back on the socket that probes this backend."""

    backend: str
    data: bytes


@dataclass(slots=True)
class ProbeRefused:
    """The host of this backend says that nobody listens there (ICMP port unreachable, connection refused)."""

    backend: str
    reason: str
    service: Service = "sip"


@dataclass(slots=True)
class Looked:
    """Every socket was read since the `LookForReply` with this number."""

    backend: str
    number: int
    service: Service = "sip"


@dataclass(slots=True)
class CanaryOpened:
    """The idle connection that shall tell of this backend's end is up."""

    backend: str
    service: Service = "sip"


@dataclass(slots=True)
class CanaryClosed:
    """That connection ended, or could not be made."""

    backend: str
    reason: str
    service: Service = "sip"


@dataclass(slots=True)
class MediaLatched:
    """A party of a stream was heard, from this address, and is answered there from now on."""

    stream: int
    side: str  # "client" or "backend"
    source: Address


@dataclass(slots=True)
class MediaFailed:
    """The ports of a stream cannot be had."""

    stream: int
    reason: str


@dataclass(slots=True)
class MediaRefused:
    """The host of this party says that nobody listens there (ICMP port unreachable); told once for each plan."""

    stream: int
    side: str  # "client" or "backend"


@dataclass(slots=True)
class MediaPrints:
    """Payloads that passed on streams whose plans ask for `prints`, for `rtp.fingerprint`, in the order of their times.

    They are times of the relay: monotonic seconds of the same clock as ours.
    """

    prints: tuple[Print, ...]
    complete: bool  # False: there were more than could be told, see `Fingerprints.missed`


@dataclass(slots=True)
class BackendsSilent:
    """The backends of these streams sent regularly and fell silent at about the same time, while the clients still
    speak. One stream may be a mute button; many of one backend say that it is frozen or cut off.
    """

    streams: tuple[int, ...]
    since: float  # monotonic seconds of the last packet from any of them


@dataclass(slots=True)
class MediaReport:
    """What a stream carried, told once when it is removed."""

    stream: int
    client: Counters  # arrived from the client
    backend: Counters  # arrived from the backend


@dataclass(slots=True)
class PortsTaken:
    """Media ports, the even one of each pair, on which the relay still carries streams of a process that is gone.

    Told before anything else happens.
    """

    ports: tuple[int, ...]


@dataclass(slots=True)
class PortsFree:
    """Some of these, which it no longer does."""

    ports: tuple[int, ...]


@dataclass(slots=True)
class RelayInUse:
    """How media are carried; told before each `Command`."""

    relay: str  # "kernel" or "userspace"
    kernel_flows: int  # directions of streams that the kernel carries alone, those of an earlier process included


@dataclass(slots=True)
class NamesMissing:
    """The backends whose host name is not known to mean anything; told before each `Command`."""

    backends: tuple[tuple[str, str, str], ...]  # name, as configured, reason


@dataclass(slots=True)
class Reconfigured:
    """This configuration is in force from now on.

    No backend has another address than before under its name, and none the address of one that leaves. What takes
    effect at restart only is as it was (configuration/changes.py).
    """

    config: Config
    users: tuple[str, Mapping[str, Credential]] | None = None  # realm and who is in it; None: as before


@dataclass(slots=True)
class Command:
    """Somebody asks for something over the control socket; answered by a `Reply` with the same number."""

    number: int
    name: str
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Lagging:
    """How late the edge is, several times a second: what arrives has waited so long before it comes in here."""

    seconds: float


@dataclass(slots=True)
class AskedToStop:
    """The process is to end; `Left` says when it may."""

    signal: str  # its name


NodeEvent = (
    Datagram
    | StreamOpened
    | StreamData
    | StreamClosed
    | TlsStarted
    | StreamProbeReply
    | DeepProbeDone
    | ProbeReply
    | ProbeRefused
    | Looked
    | CanaryOpened
    | CanaryClosed
    | MediaLatched
    | MediaFailed
    | MediaRefused
    | MediaPrints
    | BackendsSilent
    | MediaReport
    | PortsTaken
    | PortsFree
    | RelayInUse
    | NamesMissing
    | Lagging
    | Reconfigured
    | Command
    | AskedToStop
)
