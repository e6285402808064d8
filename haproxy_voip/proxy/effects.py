"""What the node asks its edge to do, besides sending bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from haproxy_voip.core.address import Endpoint, Flow
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.rtp.flow import StreamPlan

# What of a backend is meant: its telephony or its chat. Each has its own health.
Service = Literal["sip", "xmpp"]


@dataclass(slots=True)
class StartTls:
    """Encrypt this chat stream once what was sent before has left; answered by `TlsStarted`.

    On a stream that was accepted we are the server. On one we opened we are the client: the certificate is checked as
    the backend's `tls` section says, for its `name`, else for `server_name`, which is also what we ask for (SNI).
    """

    flow: Flow
    server_name: str | None = None  # the user's domain; None on accepted streams


@dataclass(slots=True)
class Reset:
    """End a stream at once; what was not sent yet is dropped, and the peer sees a reset. StreamClosed follows."""

    flow: Flow


@dataclass(slots=True)
class PauseReading:
    """Read nothing from this stream until `ResumeReading`: its peer sends faster than we get rid of it."""

    flow: Flow


@dataclass(slots=True)
class ResumeReading:
    """Read from this stream again."""

    flow: Flow


@dataclass(slots=True)
class ProbeStream:
    """Make a connection to where this backend speaks XMPP, send these bytes there, and drop it when bytes come back.

    Those are told as a `StreamProbeReply` with this number; a connection that is refused as a `ProbeRefused`.
    """

    backend: str
    number: int
    data: bytes


@dataclass(slots=True)
class ProbeDeeply:
    """Log in at this backend with its `chat.probe` account and ping it; answered by a `DeepProbeDone`.

    It is not answered when the edge could not even try.
    """

    backend: str
    number: int


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
    service: Service = "sip"


@dataclass(slots=True)
class OpenCanary:
    """Make the idle connection to the backend."""

    backend: str
    service: Service = "sip"


@dataclass(slots=True)
class StirCanary:
    """Send these bytes on the idle connection, if it stands. What comes back is thrown away."""

    backend: str
    data: bytes


@dataclass(slots=True)
class CloseCanary:
    """Drop the idle connection to the backend; no event follows."""

    backend: str
    service: Service = "sip"


@dataclass(slots=True)
class Reply:
    """Answer a `Command`. `result` is plain data for JSON; an `error` key means it was refused, and says why."""

    command: int
    result: dict[str, Any]


@dataclass(slots=True)
class ForgetBackend:
    """Nothing of this removed backend is left: it is not probed any more."""

    backend: str
    service: Service = "sip"


@dataclass(slots=True)
class CloseListener:
    """Nobody talks over this UDP listener any more, which was removed; or this one of chat takes nobody any more."""

    endpoint: Endpoint
    chat: bool = False


@dataclass(slots=True)
class Reload:
    """Load the configuration again and say `Reconfigured`; answer the `Command` of this number."""

    command: int


@dataclass(slots=True)
class ReloadUsers:
    """Read the users file again and hand the result to `Node.replace_users`."""

    command: int


@dataclass(slots=True)
class Left:
    """Everything that had to be said to others before the end of the process (`AskedToStop`) was said."""

    media_stay: bool = False  # what the kernel relays goes on without the process


NodeEffect = (
    Send
    | Open
    | Close
    | StartTls
    | Reset
    | PauseReading
    | ResumeReading
    | InstallStream
    | RemoveStream
    | Probe
    | LookForReply
    | ProbeStream
    | ProbeDeeply
    | OpenCanary
    | StirCanary
    | CloseCanary
    | ForgetBackend
    | CloseListener
    | Reply
    | Left
    | Reload
    | ReloadUsers
)
