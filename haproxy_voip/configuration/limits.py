"""The part of the configuration that is about how much there may be, and who is kept out for how long; see model.py."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from haproxy_voip.configuration.kinds import Duration, Network, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one node holds at most. Beyond a limit, requests are answered 503 or refused; nothing grows without end."""

    max_calls: Annotated[int, Whole(1, 1_000_000)] = 2000
    """Calls at the same time; the next INVITE is answered 503 with Retry-After."""
    calls_per_user: Annotated[int, Whole(1, 1_000_000)] | None = None
    """Calls that one user's phones may have made and not ended; the next is answered 503 with Retry-After. What is
    called does not count. Default: none but `max_calls`."""
    max_connections: Annotated[int, Whole(1, 1_000_000)] = 10_000
    """TCP and TLS connections at the same time; the next is closed at once."""
    max_registrations: Annotated[int, Whole(1, 10_000_000)] = 50_000
    """Registered contacts of all users together."""
    max_contacts: Annotated[int, Whole(1, 100)] = 10
    """Registered contacts of one user; all of them ring."""
    max_chats: Annotated[int, Whole(1, 1_000_000)] = 10_000
    """Chat sessions at the same time, those included whose client is away and may come back."""
    max_lag: Annotated[float, Duration(0.010, 10.0)] = 0.250
    """How late the proxy may be with what it has to do. When it is later, new INVITE, SUBSCRIBE and REGISTER requests
    of clients and trunks are answered 503 with Retry-After until it is in time again; established dialogs go on. Over
    UDP a request is sent again after 500ms."""
    failures: Annotated[int, Whole(1, 1_000_000)] = 30
    """Wrong credentials and malformed messages that one address may send in a minute before it is banned: nothing it
    sends over SIP is answered. Right credentials make up for as many. An IPv6 address counts as its /64."""
    requests: Annotated[int, Whole(1, 10_000_000)] = 3000
    """Requests without (right) credentials that one address may send in a minute before it is banned. A phone sends
    one for each challenge, and makes up for it by the answer."""
    ban: Annotated[float, Duration(1.0, 86400.0)] = 60.0
    """How long the first ban lasts. Each further one takes twice as long; one that stays away for `max_ban` begins
    anew. A phone goes on being heard at the address and port from which it gave right credentials."""
    max_ban: Annotated[float, Duration(1.0, 604800.0)] = 3600.0
    """How long a ban lasts at most. At least `ban`."""
    allow: tuple[Annotated[IPv4Network | IPv6Network, Network()], ...] = ()
    """Networks that are never banned, besides those of backends and trunks. Default: none."""
