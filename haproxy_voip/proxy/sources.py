"""Who sends too much that is good for nothing, and is not listened to for a while.

Only what fails is counted, so an office behind one address is judged by its failures, however many phones it has, and
whoever proves to be a user makes up for them. A ban is of a host (of a /64 for IPv6, RFC 6177), but never silences
the address and port from which a user gave right credentials: the source of a datagram is easily forged, and nobody
shall have a phone banned by sending in its name.

A datagram of somebody who is not banned costs nothing here while nobody is, and one look into a table otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from haproxy_voip.configuration.limits import LimitsConfig
from haproxy_voip.configuration.peers import TrunkConfig
from haproxy_voip.core.address import Address, Flow
from haproxy_voip.proxy.limit_facts import SourceBanned

# Two generations of this many, 200 bytes each: a flood from forged addresses makes the quiet ones forgotten.
MAX_SOURCES = 8192
# Banned at one time, and remembered after that. More are not banned: each of them sends little.
MAX_BANNED = 8192
# Places users have proved themselves from; the one that did so longest ago is forgotten.
MAX_PROVEN = 65_536
# What a request without credentials counts that comes from such a place: keepalives of many phones behind one address.
PROVEN_COST = 0.1
# Of those banned, in `status`.
ROWS = 20
MINUTE = 60.0

Network = IPv4Network | IPv6Network


@dataclass(slots=True)
class Source:
    """What a host may still send before it is banned; both grow back within a minute."""

    failures: float
    requests: float
    at: float  # when that was


@dataclass(slots=True)
class Record:
    """A host that was banned."""

    bans: int  # in a row
    until: float
    forgiven_at: float
    reason: str


class Sources:
    """See the module. `now` is seconds on the node's clock."""

    def __init__(self, limits: LimitsConfig, networks: Iterable[Network]) -> None:
        self.barred: dict[str, float] = {}  # by host or /64, until when; the same dictionary for ever
        self.failed = 0  # wrong credentials and malformed messages, ever
        self.unproven = 0  # requests without right credentials, ever
        self.bans = 0  # ever
        self.dropped = 0  # what came from somebody banned, ever
        self._young: dict[str, Source] = {}
        self._old: dict[str, Source] = {}
        self._records: dict[str, Record] = {}
        self._proven: dict[Address, None] = {}
        self.reconfigure(limits, networks)

    def reconfigure(self, limits: LimitsConfig, networks: Iterable[Network]) -> None:
        """These limits hold from now on, and these networks are never banned."""
        self._limits = limits
        self._spared = tuple(networks)
        for key in [key for key in self.barred if self._is_spared(key)]:
            del self.barred[key]

    # -- the hot path -------------------------------------------------------------------------------

    def bars(self, flow: Flow, now: float) -> bool:
        """Whether what came on this flow is to be dropped. To be asked only while anybody is in `barred`."""
        key = _key(flow.remote.host)
        until = self.barred.get(key)
        if until is None:
            return False
        if until <= now:
            del self.barred[key]
            return False
        if flow.remote in self._proven:
            return False
        self.dropped += 1
        return True

    # -- what they did ------------------------------------------------------------------------------

    def proved(self, flow: Flow) -> None:
        """A user gave right credentials: what a challenge and a mistyped password cost is given back."""
        proven = self._proven
        if flow.remote not in proven:
            if len(proven) >= MAX_PROVEN:
                del proven[next(iter(proven))]
            proven[flow.remote] = None
        key = _key(flow.remote.host)
        source = self._young.get(key) or self._old.get(key)
        if source is not None:
            source.failures = min(self._limits.failures, source.failures + 1)
            source.requests = min(self._limits.requests, source.requests + 1)

    def mistake(self, flow: Flow, now: float, reason: str) -> list[SourceBanned]:
        """Wrong credentials, or a malformed message."""
        self.failed += 1
        source = self._source(flow, now)
        source.failures -= 1
        return [] if source.failures >= 0 else self._ban(flow, source, reason, now)

    def malformed(self, flow: Flow, now: float) -> list[SourceBanned]:
        """A message that cannot be read. From where a user has proved to be it counts nothing: it is easily forged."""
        if flow.remote not in self._proven:
            return self.mistake(flow, now, "malformed messages")
        self.failed += 1
        return []

    def asked(self, flow: Flow, now: float) -> list[SourceBanned]:
        """A request whose sender did not prove to be a user."""
        self.unproven += 1
        source = self._source(flow, now)
        source.requests -= PROVEN_COST if flow.remote in self._proven else 1.0
        return [] if source.requests >= 0 else self._ban(flow, source, "too many requests without credentials", now)

    def _source(self, flow: Flow, now: float) -> Source:
        key, limits = _key(flow.remote.host), self._limits
        source = self._young.get(key)
        if source is None:
            source = self._old.get(key) or Source(limits.failures, limits.requests, now)
            if len(self._young) >= MAX_SOURCES:
                self._old, self._young = self._young, {}
            self._young[key] = source
        share = (now - source.at) / MINUTE
        source.failures = min(limits.failures, source.failures + share * limits.failures)
        source.requests = min(limits.requests, source.requests + share * limits.requests)
        source.at = now
        return source

    # -- bans ---------------------------------------------------------------------------------------

    def _ban(self, flow: Flow, source: Source, reason: str, now: float) -> list[SourceBanned]:
        source.failures, source.requests = self._limits.failures, self._limits.requests
        key = _key(flow.remote.host)
        if self._is_spared(key):
            return []
        self._proven.pop(flow.remote, None)  # who goes too far is not spared for what it was
        if key in self.barred and self.barred[key] > now:
            return []  # somebody who was spared went too far as well
        self._forget(now)
        if len(self.barred) >= MAX_BANNED:
            return []
        before = self._records.pop(key, None)
        bans = 1 if before is None else before.bans + 1
        seconds = min(self._limits.ban * 2.0 ** min(bans - 1, 32), self._limits.max_ban)
        until = self.barred[key] = now + seconds
        self._records[key] = Record(bans, until, until + self._limits.max_ban, reason)
        self.bans += 1
        return [SourceBanned(key, reason, seconds, bans)]

    def _forget(self, now: float) -> None:
        """Make room, at every ban: the table of those who are barred is looked at for each datagram."""
        for key in [key for key, until in self.barred.items() if until <= now]:
            del self.barred[key]
        for key in [key for key, record in self._records.items() if record.forgiven_at <= now]:
            del self._records[key]
        while len(self._records) >= 2 * MAX_BANNED:
            del self._records[next(iter(self._records))]

    def _is_spared(self, key: str) -> bool:
        network = ip_network(key)
        return any(network.version == one.version and network.overlaps(one) for one in self._spared)

    # -- for people ---------------------------------------------------------------------------------

    def rows(self, now: float) -> list[dict[str, Any]]:
        """Those who are banned now, the latest first."""
        found: list[dict[str, Any]] = []
        for key, record in reversed(self._records.items()):
            if self.barred.get(key, now) > now and len(found) < ROWS:
                left = round(record.until - now, 3)
                found.append({"source": key, "seconds_left": left, "bans": record.bans, "reason": record.reason})
        return found

    def banned(self, now: float) -> int:
        """How many are."""
        return sum(until > now for until in self.barred.values())


def spared(limits: LimitsConfig, hosts: Iterable[str], trunks: Iterable[TrunkConfig]) -> list[Network]:
    """The networks that are never banned: those allowed, and where backends (at `hosts`) and trunks are."""
    known = [ip_network(host) for host in hosts]
    for trunk in trunks:
        known += [ip_network(trunk.address.address.host), *trunk.from_]
    return [*limits.allow, *known]


def _key(host: str) -> str:
    """Who is meant by a host: over IPv6 the /64, as anybody has a whole one."""
    if ":" not in host:
        return host
    address = ip_address(host)
    assert isinstance(address, IPv6Address)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
