"""What the node asks its edge to do, besides sending SIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.rtp.flow import StreamPlan


@dataclass(slots=True)
class InstallStream:
    """Relay this stream so. A plan with a known stream number replaces the earlier plan."""

    plan: StreamPlan


@dataclass(slots=True)
class RemoveStream:
    """Stop relaying and free the ports; answered by a `MediaReport`."""

    stream: int


@dataclass(slots=True)
class Probe:
    """Send these bytes to the backend from the socket that probes it."""

    backend: str
    data: bytes


@dataclass(slots=True)
class LookForReply:
    """Read what waits in the socket that probes the backend, then say `Looked` with this number."""

    backend: str
    number: int


@dataclass(slots=True)
class OpenCanary:
    """Make the idle connection to the backend."""

    backend: str


@dataclass(slots=True)
class StirCanary:
    """Send these bytes on the idle connection, if it stands. What comes back is thrown away."""

    backend: str
    data: bytes


@dataclass(slots=True)
class CloseCanary:
    """Drop the idle connection to the backend; no event follows."""

    backend: str


@dataclass(slots=True)
class Reply:
    """Answer a `Command`. `result` is plain data for JSON; an `error` key means it was refused, and says why."""

    command: int
    result: dict[str, Any]


@dataclass(slots=True)
class ReloadUsers:
    """Read the users file again and hand the result to `Node.replace_users`."""

    command: int


NodeEffect = (
    Send
    | Open
    | Close
    | InstallStream
    | RemoveStream
    | Probe
    | LookForReply
    | OpenCanary
    | StirCanary
    | CloseCanary
    | Reply
    | ReloadUsers
)
