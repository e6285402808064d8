"""The backend for each new call, by the balance that is configured, and for everything else a user asks for.

Sans-I/O. Times are seconds on the caller's monotonic clock.

1. Only who is up, ready and below its `max_calls` gets calls. Calls that moved from a dead backend count like new ones:
   a backend that is given more than it bears carries none.
2. Who comes back, or is new, has little weight at first and all of it after `slowstart`. At the start of the proxy all
   are equal, and who is alone gets everything.
3. When the calls are spread, who has a call gets the next one at the same backend: a transfer names both of them.
4. What is no call has no weight. When the calls are spread it is always at one backend, for each user another one: what
   the user published there is known where it is asked for.
5. Fewer than the panic threshold: said once, and unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from haproxy_voip.cluster.balance import Balance, Candidate
from haproxy_voip.cluster.balance.hash import Hash
from haproxy_voip.cluster.balance.least_calls import LeastCalls
from haproxy_voip.cluster.balance.round_robin import RoundRobin
from haproxy_voip.cluster.health import Health
from haproxy_voip.cluster.pool import Pool

# What is left of the weight of one that has come back this moment: enough to find out whether it works.
COLD_SHARE = 0.05

FAILOVER = "failover"  # no algorithm: the active backend gets everything it has room for
ALGORITHMS: Mapping[str, Callable[[], Balance]] = {
    "round_robin": RoundRobin,
    "least_calls": LeastCalls,
    "hash": Hash,
}


class NoBackend(Exception):
    """No backend is up and ready, or none has room; answer 503 with Retry-After (RFC 3261 section 21.5.4)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one backend is good for."""

    weight: int = 1
    max_calls: int | None = None
    slowstart: float = 0.0  # seconds; 0: it has all its weight at once


ORDINARY = Terms()


@dataclass(frozen=True, slots=True)
class Sharing:
    """How backends share the work."""

    balance: str = FAILOVER  # or one of ALGORITHMS
    panic: int = 0  # percent of all weight
    terms: Mapping[str, Terms] = field(default_factory=dict)  # by backend

    @property
    def spreads(self) -> bool:
        """Whether more than one backend gets new calls."""
        return self.balance != FAILOVER


class Choice:
    """Chooses among the members of a pool."""

    __slots__ = ("_algorithm", "_homes", "calls", "pool", "sharing")

    def __init__(self, pool: Pool, sharing: Sharing) -> None:
        self.pool = pool
        self.sharing = sharing
        self._algorithm = _algorithm(sharing)
        self._homes = Hash()
        self.calls: Callable[[str], int] = lambda name: 0  # that are on a backend

    def arrange(self, sharing: Sharing) -> None:
        """Share the work like this from now on. What is where it is stays there."""
        if sharing.balance != self.sharing.balance:
            self._algorithm = _algorithm(sharing)
        self.sharing = sharing

    # -- calls --------------------------------------------------------------------------------------

    def choose(self, user: str, now: float, near: Iterable[str] = ()) -> str:
        """The backend for a new call of this user, who has calls at those that are `near`. Raises NoBackend."""
        if self.pool.active is None:
            raise NoBackend("no backend is up and ready")
        chosen = self.another(user, (), now, near)
        if chosen is not None:
            return chosen
        raise NoBackend("every backend that is up and ready has its max_calls")

    def another(self, user: str, tried: Iterable[str], now: float, near: Iterable[str] = ()) -> str | None:
        """The same, but none of those that were tried; None when there is no other one."""
        former = list(tried)
        roomy = [name for name in self.eligible if name not in former and not self.full(name)]
        if self._algorithm is None or not roomy:
            return next(iter(roomy), None)
        there = next((name for name in near if name in roomy), None)
        return there or self._algorithm.pick([self._candidate(name, now) for name in roomy], user)

    def placed(self, backend: str, now: float) -> None:
        """A call of a client was placed there."""
        if self._algorithm is not None and backend in self.pool.members:
            self._algorithm.placed(self._candidate(backend, now))

    def takes(self, backend: str) -> bool:
        """Whether it may get a call now."""
        return backend in self.pool.eligible and not self.full(backend)

    def chosen(self, backend: str) -> bool:
        """Whether new calls go there, as long as it has room."""
        if self.sharing.spreads and self.pool.active is not None:
            return backend in self.pool.eligible
        return backend == self.pool.active

    def full(self, backend: str) -> bool:
        """Whether it has as many calls as it may have."""
        most = self.terms(backend).max_calls
        return most is not None and self.calls(backend) >= most

    def share(self, backend: str, now: float) -> float:
        """How much of its weight it has already: 1 when it is warm."""
        warm_from, slowstart = self.pool.members[backend].warm_from, self.terms(backend).slowstart
        if warm_from is None or not slowstart or now >= warm_from + slowstart:
            return 1.0
        return max(COLD_SHARE, (now - warm_from) / slowstart)

    # -- everything else ----------------------------------------------------------------------------

    def home(self, user: str, tried: Iterable[str] = ()) -> str | None:
        """The backend for what is no call; None when there is none that was not tried."""
        former = list(tried)
        names = [name for name in self.eligible if name not in former]
        if self.pool.active is None or not names:
            return None
        if not self.sharing.spreads:
            return names[0]
        return self._homes.pick([Candidate(name, self.terms(name).weight, 0) for name in names], user)

    # -- too few ------------------------------------------------------------------------------------

    @property
    def percent_up(self) -> int:
        """How much of all weight can get calls, rounded down; who has not been heard of yet is believed to."""
        members = [member for member in self.pool.members.values() if not member.leaving]
        everything = sum(self.terms(member.name).weight for member in members)
        there = [member for member in members if member.usable or member.health is Health.UNKNOWN]
        return 100 * sum(self.terms(member.name).weight for member in there) // max(everything, 1)

    @property
    def panic(self) -> bool:
        """Whether too few are up to carry what is meant for all."""
        return self.sharing.spreads and self.pool.active is not None and self.percent_up < self.sharing.panic

    # -- finding ------------------------------------------------------------------------------------

    @property
    def eligible(self) -> list[str]:
        """All that may get new calls; the active one first, then by preference."""
        active = self.pool.active
        names = self.pool.eligible
        return [active, *(name for name in names if name != active)] if active in names else names

    def _candidate(self, name: str, now: float) -> Candidate:
        return Candidate(name, self.terms(name).weight * self.share(name, now), self.calls(name))

    def terms(self, name: str) -> Terms:
        """What this backend is good for."""
        return self.sharing.terms.get(name, ORDINARY)


def _algorithm(sharing: Sharing) -> Balance | None:
    return ALGORITHMS[sharing.balance]() if sharing.spreads else None
