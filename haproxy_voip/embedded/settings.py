"""What embedded servers, phones and chat clients are told before they start, and what may be turned while they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from haproxy_voip.core.address import Address, Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxSettings:
    """One PBX. Durations are whole seconds, as on the wire."""

    listen: tuple[Endpoint, ...]
    users: Mapping[str, str]  # name -> password
    realm: str = "pbx.example"
    trust: bool = False  # whether nobody is challenged
    min_expires: int = 10
    max_expires: int = 3600
    max_contacts: int = 10  # of one user
    ring_for: float = 60.0  # then the caller gets 480


@dataclass(slots=True, kw_only=True)
class Knobs:
    """How a PBX misbehaves; tests turn them while it runs."""

    silent: bool = False  # hears and says nothing, as if frozen
    delay: float = 0.0  # seconds between an event's arrival and its handling
    refuse_registrations: int | None = None  # every REGISTER gets this status
    registrations_per_second: float | None = None  # beyond it, REGISTER gets 503 with Retry-After
    refuse_calls: int | None = None  # every INVITE outside a dialog gets this status


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSettings:
    """One phone. Durations are seconds."""

    user: str
    password: str
    domain: str  # of its own address and of everybody it calls
    server: Endpoint  # where everything is sent
    address: Address  # where it listens for SIP
    media: Address | None = None  # where it takes audio; None: its own host, port 4000
    expires: int = 300  # asked for; refreshed after half of what is granted
    ring_after: float = 0.0  # from INVITE to 180; None of it when the call is answered before
    answer_after: float | None = 0.1  # from INVITE to 200; None: by command
    refuse_with: int | None = None  # every call gets this status instead
    retry_after: float = 1.0  # after a refused or unanswered REGISTER, or a broken connection
    early_media: bool = False  # ring with 183 and SDP

    @property
    def listen(self) -> Endpoint:
        """Where it listens, in the transport it speaks to its server."""
        return Endpoint(self.server.transport, self.address)

    @property
    def audio(self) -> Address:
        """What its SDP says."""
        return self.media or Address(self.address.host, 4000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatServerSettings:
    """One chat server. Durations are seconds."""

    users: Mapping[str, str]  # name -> password
    domain: str
    name: str = "server"  # what the names of its sessions begin with
    management: bool = True  # whether XEP-0198 is spoken
    resumable: float = 60.0  # how long a session outlives its connection
    epoch_offset: float = 0.0  # wall-clock seconds minus the machine's clock, for delay stamps

    @property
    def rooms(self) -> str:
        """The domain of its rooms."""
        return f"rooms.{self.domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatClientSettings:
    """One chat client. Durations are seconds."""

    user: str
    password: str
    domain: str
    resource: str
    server: Endpoint  # a `tcp:` one; TLS begins on it where `secure` says so
    host: str = "0.0.0.0"  # where it connects from
    secure: bool = True  # whether it insists on STARTTLS; else it does without
    retry_after: float = 0.2  # after a lost connection or a login that failed for now
    management: bool = True  # whether it speaks XEP-0198
