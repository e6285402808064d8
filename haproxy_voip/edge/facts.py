"""What happened at the edge, for people."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.configuration.model import LogLevel
from haproxy_voip.core.address import Address, Endpoint


@dataclass(slots=True)
class Listening:
    """A listener is bound; `endpoint` carries the real port."""

    endpoint: Endpoint

    def __str__(self) -> str:
        return f"listening on {self.endpoint}"


@dataclass(slots=True)
class NotListening:
    """A listener is closed; what is connected stays."""

    endpoint: Endpoint

    def __str__(self) -> str:
        return f"no longer listening on {self.endpoint}"


@dataclass(slots=True)
class Failed:
    """A mistake of ours: an exception left the machine or an effect's handler. That one thing is lost."""

    doing: str
    traceback: str

    def __str__(self) -> str:
        return f"internal error while {self.doing}; this one thing is lost, everything else goes on\n{self.traceback}"


@dataclass(slots=True)
class StreamsFull:
    """Connections are turned away: `limit` are open, of all peers together or of this one host."""

    limit: int
    host: str | None

    def __str__(self) -> str:
        whose = "in all" if self.host is None else f"from {self.host}"
        return f"{self.limit} connections {whose} are open; more are closed at once (see limits.max_connections)"


@dataclass(slots=True)
class HandshakeFailed:
    """A TLS peer connected and did not become a stream."""

    peer: str
    reason: str

    def __str__(self) -> str:
        return f"TLS handshake with {self.peer} failed: {self.reason}"


@dataclass(slots=True)
class Stopping:
    """An orderly end has begun."""

    reason: str

    def __str__(self) -> str:
        return f"stopping: {self.reason}"


@dataclass(slots=True)
class AskedToReload:
    """SIGHUP came."""

    def __str__(self) -> str:
        return "SIGHUP: loading the configuration again, and opening files anew"


@dataclass(slots=True)
class Reloaded:
    """Another configuration is in force."""

    changes: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(("the configuration was loaded again", *(self.changes or ("nothing has changed",))))


@dataclass(slots=True)
class NotReloaded:
    """The new configuration cannot be taken over; everything is as before."""

    reason: str

    def __str__(self) -> str:
        return f"the configuration was not taken over, everything is as before:\n{self.reason}"


@dataclass(slots=True)
class UsersRead:
    """The users file was taken over."""

    users: int

    def __str__(self) -> str:
        return f"the users file was read again: {self.users} users"


@dataclass(slots=True)
class UsersNotRead:
    """The users file is wrong or cannot be read; the users known so far stay."""

    reason: str

    def __str__(self) -> str:
        return f"the users file was not taken over, the users known so far stay: {self.reason}"


@dataclass(slots=True)
class MediaInKernel:
    """The kernel relays media that arrive on these interfaces, as soon as it is clear where they go."""

    interfaces: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what had to be done for it that an operator wants to know

    def __str__(self) -> str:
        notes = f"; {'; '.join(self.notes)}" if self.notes else ""
        return f"media are relayed in the kernel, on {', '.join(self.interfaces)}{notes}"


@dataclass(slots=True)
class MediaInUserspace:
    """The kernel could not be made to relay media; `media.relay: auto` allows for that."""

    reason: str

    def __str__(self) -> str:
        return f"media are relayed in userspace, not in the kernel: {self.reason}"


@dataclass(slots=True)
class StreamsInherited:
    """An earlier process was killed; the kernel goes on relaying what it had been told."""

    flows: int

    def __str__(self) -> str:
        return f"the kernel still relays {self.flows} media flows of an earlier process; each ends when it falls silent"


@dataclass(slots=True)
class RecordsNotWritten:
    """The file of the call records cannot be written; calls go on without."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"call records cannot be written to {self.file}: {self.reason}"


@dataclass(slots=True)
class RecordsLost:
    """It can be written again; what should have been in it meanwhile is not."""

    file: str
    count: int

    def __str__(self) -> str:
        return f"call records are written to {self.file} again; {self.count} were lost"


@dataclass(slots=True)
class ProberFailed:
    """The process that probes deeply does not run; it is started again with the next probe."""

    reason: str

    def __str__(self) -> str:
        return f"no deep probes for the moment: {self.reason}; nothing is held against the backends"


@dataclass(slots=True)
class NameFound:
    """A host name of a backend means this address from now on."""

    name: Endpoint
    address: Address
    former: Address | None

    def __str__(self) -> str:
        return f"{self.name} is {self.address}" + (f" (was {self.former})" if self.former is not None else "")


@dataclass(slots=True)
class NameNotFound:
    """It cannot be told what a host name of a backend means."""

    name: Endpoint
    reason: str
    address: Address | None  # it goes on with

    def __str__(self) -> str:
        then = "its backend is down" if self.address is None else f"it goes on being {self.address}"
        return f"{self.name} was not found, {then}: {self.reason}"


EdgeFact = (
    Listening
    | NotListening
    | Reloaded
    | NotReloaded
    | Failed
    | StreamsFull
    | HandshakeFailed
    | Stopping
    | AskedToReload
    | UsersRead
    | UsersNotRead
    | MediaInKernel
    | MediaInUserspace
    | StreamsInherited
    | RecordsNotWritten
    | RecordsLost
    | ProberFailed
    | NameFound
    | NameNotFound
)

# How much each matters in a log; what is not named here is `info`.
LEVELS: dict[type, LogLevel] = {
    HandshakeFailed: "debug",  # every port scanner makes some
    StreamsFull: "warning",
    NotReloaded: "error",
    UsersNotRead: "error",
    StreamsInherited: "warning",
    RecordsNotWritten: "error",
    RecordsLost: "warning",
    ProberFailed: "error",
    NameNotFound: "warning",
    Failed: "error",
}
