"""The backends in order of preference, and which one is active.

Sans-I/O. Times are seconds on the caller's monotonic clock. Operators' words are HAProxy's: `ready`, `drain` (no new
calls, what is there stays), `maint` (nobody may be there: as if it were down).

1. The active backend is up and ready; there is none only when none is up and ready, or during the start grace.
2. What works is left alone: a better backend that returns takes over by itself only when `failback` is set, and only
   after it has been usable without a break for so long.
3. An operator's `switch` holds until that backend is lost or an operator says otherwise.
4. A backend that was removed gets nothing new, unless it is active and no other can be: then it goes on until one can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from haproxy_voip.cluster.health import Health

# At the start the preferred backend is waited for so long, while others have answered already. From the first probe on;
# it covers two with the default timings.
START_GRACE_SECONDS = 0.150

# A backend that is lost soon after an automatic failback must then stay usable twice as long for the next one, and so
# on up to this many times the configured time.
FAILBACK_FACTOR_MAX = 32


class Admin(StrEnum):
    """What the operator wants of a backend."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class Cause(StrEnum):
    """Why the active backend changed."""

    START = "start"
    DOWN = "down"
    RETURNED = "returned"  # the first one that can be used after there was none
    FAILBACK = "failback"
    DRAIN = "drain"
    MAINT = "maint"
    SWITCH = "switch"
    REMOVED = "removed"
    TOGETHER = "together"  # another service of the backends moved there


class PoolRefusal(ValueError):
    """An operator's wish that cannot be granted; the text says why and what would help."""


@dataclass(slots=True)
class ActiveChanged:
    """New calls go elsewhere from now on. None: nowhere."""

    old: str | None
    new: str | None
    why: Cause

    def __str__(self) -> str:
        return f"active backend: {self.new or 'none'} (was {self.old or 'none'}): {self.why}"


@dataclass(slots=True)
class Evacuate:
    """Everything that is on this backend must move (see decisions.py); it comes after `ActiveChanged`."""

    backend: str
    why: Cause  # DOWN or MAINT


@dataclass(slots=True)
class Retire:
    """This backend was removed and is not the active one, or not any more: what is there ends in its own time."""

    backend: str


PoolOutput = ActiveChanged | Evacuate | Retire


@dataclass(slots=True)
class Member:
    """One backend, as the pool sees it."""

    name: str
    rank: int  # 0 is preferred to all
    admin: Admin = Admin.READY
    health: Health = Health.UNKNOWN
    usable_since: float | None = None  # since when it is up and ready without a break; None: it is not
    failback_factor: int = 1
    failed_back_at: float | None = None  # when it last became active by failback
    leaving: bool = False  # it was removed from the configuration
    cold: bool = False  # it was down, in maintenance or not there, and was not usable since
    warm_from: float | None = None  # since when it warms up; None: it was usable from the start

    @property
    def word(self) -> str:
        """What operators want of it."""
        return "leaving" if self.leaving else str(self.admin)

    @property
    def usable(self) -> bool:
        """Whether it may get new calls."""
        return self.health is Health.UP and self.admin is Admin.READY and not self.leaving

    @property
    def occupied(self) -> bool:
        """Whether things may be there: it is up and not in maintenance."""
        return self.health is Health.UP and self.admin is not Admin.MAINT


class Pool:
    """All backends. `failback` in seconds; None means that only an operator makes a better one active again."""

    __slots__ = ("_failback", "_grace_ends_at", "_pinned", "active", "deadline", "favours", "members")

    def __init__(self, names: Iterable[str], failback: float | None, now: float) -> None:
        self.members = {name: Member(name, rank) for rank, name in enumerate(names)}  # those that leave come last
        self.active: str | None = None
        self._failback = failback
        self._grace_ends_at: float | None = now + START_GRACE_SECONDS
        self._pinned = False
        # Of several that would do, one of these is taken; another service may have a say in it.
        self.favours: Callable[[str], bool] = lambda name: True
        # When `wake` is next due; None when nothing is pending. Asked far more often than it changes: see `_planned`.
        self.deadline: float | None = None

    def begin(self, now: float) -> None:
        """The first probes are sent: the time from the construction to now was ours."""
        if self.active is None and self._grace_ends_at is not None:
            self._grace_ends_at = now + START_GRACE_SECONDS
            self._planned([])

    # -- another configuration ----------------------------------------------------------------------

    def arrange(self, names: Iterable[str], failback: float | None, now: float) -> list[PoolOutput]:
        """These are the backends from now on, in this order; the others leave. `drop` what has nothing to carry.

        One that is new is unknown until it is `up`; one that left and is among them again is what it was.
        """
        known, self._failback = self.members, failback
        stay = {name: known.get(name) or Member(name, 0, cold=True) for name in names}
        gone = [member for name, member in known.items() if name not in stay]
        self.members = stay | {member.name: member for member in gone}
        self._rank()
        outputs: list[PoolOutput] = []
        for member in stay.values():
            if member.leaving:
                member.leaving = False
                outputs += self._became_usable(member, now)
        left = [member for member in gone if not member.leaving]
        for member in left:
            member.leaving, member.usable_since = True, None
        outputs += self._fill(now)
        return self._planned([*outputs, *(Retire(one.name) for one in left if one.name not in self._moot(outputs))])

    def drop(self, name: str) -> None:
        """One that left has nothing to carry any more."""
        del self.members[name]
        self._rank()

    @property
    def retired(self) -> list[str]:
        """Those that left and are not needed any more."""
        return [name for name, member in self.members.items() if member.leaving and name != self.active]

    def _moot(self, outputs: list[PoolOutput]) -> list[str | None]:
        """Not to be retired: the one that is needed, and those of which it was said already."""
        return [self.active, *(output.backend for output in outputs if isinstance(output, Retire))]

    def _rank(self) -> None:
        for rank, member in enumerate(self.members.values()):
            member.rank = rank

    # -- what may be used ---------------------------------------------------------------------------

    @property
    def eligible(self) -> list[str]:
        """All that may get new calls, in order of preference."""
        usable = [member.name for member in self.members.values() if member.usable]
        return usable or [name for name in self.members if name == self.active]

    @property
    def occupied(self) -> list[str]:
        """All that are up and not in maintenance, in order of preference: where registrations are mirrored to."""
        retired = self.retired
        return [name for name, member in self.members.items() if member.occupied and name not in retired]

    def can_use(self, name: str) -> bool:
        """Whether this backend may get new calls."""
        member = self.members.get(name)
        return member is not None and member.usable

    def up(self, name: str, now: float) -> list[PoolOutput]:
        """The detector trusts this backend now."""
        member = self.members[name]
        if member.health is Health.UP:
            return []
        member.health = Health.UP
        return self._planned(self._became_usable(member, now))

    def down(self, name: str, now: float) -> list[PoolOutput]:
        """The detector says that this backend is down."""
        member = self.members[name]
        if member.health is Health.DOWN:
            return []
        was_occupied = member.occupied
        member.health, member.cold = Health.DOWN, True
        return self._planned(self._became_unusable(member, Cause.DOWN, now, evacuate=was_occupied))

    def set_admin(self, name: str, state: Admin, now: float) -> list[PoolOutput]:
        """The operator's word. Raises PoolRefusal when there is no such backend."""
        member = self._member(name)
        if state is Admin.READY:
            self._require_staying(member)
        if member.admin is state:
            return []
        was_occupied = member.occupied
        member.admin = state
        match state:
            case Admin.READY:
                outputs = self._became_usable(member, now)
            case Admin.DRAIN:
                outputs = self._became_unusable(member, Cause.DRAIN, now, evacuate=False)
            case Admin.MAINT:
                member.cold = True
                outputs = self._became_unusable(member, Cause.MAINT, now, evacuate=was_occupied)
        return self._planned(outputs)

    def switch(self, name: str, now: float) -> list[PoolOutput]:
        """Make this backend the active one now. Raises PoolRefusal when it cannot be."""
        member = self._member(name)
        self._require_staying(member)
        if member.admin is not Admin.READY:
            raise PoolRefusal(f"{name} is in {member.admin}; make it ready first")
        if member.health is not Health.UP:
            raise PoolRefusal(f"{name} is {member.health}; only a backend that is up can be active")
        outputs = self._activate(name, Cause.SWITCH, now)
        self._pinned = True
        return self._planned(outputs)

    def follow(self, name: str, now: float) -> list[PoolOutput]:
        """Make this backend, which can be used, the active one as another service of it is; who leads fails back."""
        outputs = self._activate(name, Cause.TOGETHER, now)
        self._pinned = True
        return self._planned(outputs)

    def wake(self, now: float) -> list[PoolOutput]:
        """Act on what is due: the end of the start grace, a failback."""
        if self.active is None:
            return self._planned(self._fill(now))
        due = [member for at, member in self._failbacks() if at <= now]
        if not due:
            return []
        due[0].failed_back_at = now
        return self._planned(self._activate(due[0].name, Cause.FAILBACK, now))

    def _planned(self, outputs: list[PoolOutput]) -> list[PoolOutput]:
        """Every change ends here: what follows from it later."""
        if self.active is None:
            self.deadline = self._grace_ends_at if self.eligible else None
        else:
            self.deadline = min((at for at, _ in self._failbacks()), default=None)
        return outputs

    def _best_of(self, names: Iterable[str]) -> str | None:
        """The first that is favoured, else the first."""
        wanted = list(names)
        return next(filter(self.favours, wanted), next(iter(wanted), None))

    def _member(self, name: str) -> Member:
        try:
            return self.members[name]
        except KeyError:
            raise PoolRefusal(f"there is no backend {name}; there are {', '.join(self.members)}") from None

    def _require_staying(self, member: Member) -> None:
        if member.leaving:
            raise PoolRefusal(f"{member.name} was removed from the configuration; add it there and reload")

    def _failbacks(self) -> list[tuple[float, Member]]:
        """When each backend that is better than the active one may take over, in order of preference."""
        if self._failback is None or self._pinned or self.active is None:
            return []
        return [
            (member.usable_since + self._failback * member.failback_factor, member)
            for member in list(self.members.values())[: self.members[self.active].rank]
            if member.usable_since is not None
        ]

    def _became_usable(self, member: Member, now: float) -> list[PoolOutput]:
        if not member.usable:
            return []
        member.usable_since = now
        if member.cold:
            member.cold, member.warm_from = False, now
        return self._fill(now)

    def _became_unusable(self, member: Member, why: Cause, now: float, *, evacuate: bool) -> list[PoolOutput]:
        if why is Cause.DOWN:
            self._punish(member, now)
        member.usable_since = None
        outputs: list[PoolOutput] = []
        if member.name == self.active:
            best = self._best_of(name for name in self.eligible if name != member.name)
            outputs += self._activate(best, why, now)
        elif self.active is None:
            outputs += self._fill(now)  # it may have been the one the others waited for
        if evacuate:
            outputs.append(Evacuate(member.name, why))
        return outputs

    def _punish(self, member: Member, now: float) -> None:
        """Slow flapping: was the last failback worth it?"""
        failed_back_at, member.failed_back_at = member.failed_back_at, None
        if self._failback is None or failed_back_at is None:
            return
        if now - failed_back_at > self._failback * member.failback_factor:
            member.failback_factor = 1
        else:
            member.failback_factor = min(2 * member.failback_factor, FAILBACK_FACTOR_MAX)

    def _fill(self, now: float) -> list[PoolOutput]:
        """Make the best backend active if there is none, unless a better one may still answer at the start."""
        if self.active is not None and self.members[self.active].leaving:
            better = self._best_of(name for name in self.eligible if name != self.active)
            return [] if better is None else self._activate(better, Cause.REMOVED, now)
        best = self._best_of(self.eligible)
        if self.active is not None or best is None:
            return []
        if self._grace_ends_at is None:
            return self._activate(best, Cause.RETURNED, now)
        awaited = any(
            member.health is Health.UNKNOWN and member.admin is Admin.READY
            for member in list(self.members.values())[: self.members[best].rank]
        )
        if awaited and now < self._grace_ends_at:
            return []
        return self._activate(best, Cause.START, now)

    def _activate(self, name: str | None, why: Cause, now: float) -> list[PoolOutput]:
        self._pinned = False
        if name == self.active:
            return []
        old, self.active = self.active, name
        self._grace_ends_at = None
        changed = ActiveChanged(old, name, why)
        return [changed, Retire(old)] if old is not None and self.members[old].leaving else [changed]
