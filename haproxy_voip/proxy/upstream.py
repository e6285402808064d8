"""Our registrations at the backends: one contact of ours for each contact of a client.

In `mirror` mode every backend that is up holds all of them, so a failover moves none. In `active` mode only the
active one does; on a failover all are made at the next, as fast as it answers and the most needed first.
A client's own refreshes end at us and cause nothing here.

A backend that was down may have kept what it knew. What it shall not know any more is taken back when it returns.
One that lives keeps them until it has answered: it may be about to look for the callee of an INVITE that we sent it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from haproxy_voip.proxy.line import Line
from haproxy_voip.proxy.registration import Place, Registration, Waiting
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.bindings import Binding

# Users whose last activity is remembered; more than that are all equal.
MAX_ACTIVE = 100_000
# In `active` mode another backend gets a user's registrations for one call that the active one would not take.
LOAN_SECONDS = 300.0
# Contacts that went while a backend was down which may know them; those that are forgotten here expire there.
MAX_STRAYS = 20_000
# How often it is looked whether a backend has answered everything, and how long it is waited for at most: as a call
# rings unless `timers.ring` says otherwise. Then whoever it still looks for is not known to it.
LOOK_SECONDS = 0.5
ANSWERS_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Loan:
    """A registration that a backend holds for a while. Equal ones are one loan, which begins anew."""

    home: Upstream
    binding: Binding
    backend: str

    def wake(self, now: float) -> list[Output]:
        """Take it back."""
        return self.home.return_loan(self.binding, self.backend, now)


@dataclass(frozen=True, slots=True)
class Leave:
    """A backend that shall hold nothing any more once it has answered."""

    home: Upstream
    backend: str

    def wake(self, now: float) -> list[Output]:
        """See whether it has."""
        return self.home.left(self.backend, now)


class Lines(dict[str, Line]):
    """By backend; one that is new gets its own."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._shared = shared

    def __missing__(self, backend: str) -> Line:
        line = self[backend] = Line(self._shared, backend)
        return line


class Upstream:
    """All our registrations. `targets` tells the backends that shall hold them."""

    def __init__(self, shared: Shared, targets: Callable[[], list[str]]) -> None:
        self._shared = shared
        self._targets = targets
        self._made: dict[Binding, tuple[Registration, ...]] = {}  # one for each backend that holds it, or shall
        self._by_user: dict[str, tuple[Binding, ...]] = {}
        self._strays: defaultdict[str, list[Registration]] = defaultdict(list)
        self._active_at: dict[str, float] = {}
        self._lines = Lines(shared)
        self._there: defaultdict[str, bool] = defaultdict(bool)  # whether it can be asked for anything
        self._leaving: dict[str, float] = {}  # since when it shall hold nothing any more, and has yet to answer
        self.asked: Callable[[str], bool] = lambda backend: False  # whether somebody waits for its answer

    # -- clients come and go ------------------------------------------------------------------------

    def add(self, binding: Binding, now: float) -> list[Output]:
        """A client registered a new contact."""
        self._made[binding] = ()
        self._by_user[binding.aor] = (*self._by_user.get(binding.aor, ()), binding)
        outputs: list[Output] = []
        for backend in self._targets():
            self._registration(binding, backend).want()
            outputs += self._lines[backend].pump(now)
        return outputs

    def remove(self, binding: Binding, now: float) -> list[Output]:
        """A client's contact is gone: take it back everywhere, where a backend is down as soon as it returns."""
        outputs: list[Output] = []
        others = tuple(one for one in self._by_user.pop(binding.aor, ()) if one is not binding)
        if others:
            self._by_user[binding.aor] = others
        for registration in self._made.pop(binding, ()):
            backend = registration.backend
            if self._there[backend]:
                outputs += [*registration.unwant(now), *self._lines[backend].pump(now)]
            elif registration.believed(now) and len(self._strays[backend]) < MAX_STRAYS:
                self._strays[backend].append(registration)
        return outputs

    # -- backends come and go -----------------------------------------------------------------------

    def came(self, backend: str, now: float) -> list[Output]:
        """The backend is up, or became the active one: it gets what it shall hold, and gives back the rest."""
        outputs: list[Output] = []
        self._there[backend] = True
        if backend in self._targets():
            self._stay(backend)
            for binding in sorted(self._made, key=self._need):
                self._registration(binding, backend).want()
        else:
            outputs += self.left(backend, now)
        strays, self._strays[backend] = self._strays[backend], []
        for stray in strays:
            outputs += stray.unwant(now)
        return outputs + self._lines[backend].pump(now)

    def went(self, backend: str, now: float) -> list[Output]:
        """The backend is down: it holds nothing that counts, and is asked for nothing."""
        outputs: list[Output] = []
        self._there[backend] = False
        self._stay(backend)
        self._lines[backend].reset()
        for registration in self._at(backend):
            outputs += registration.lost(now)
        return outputs

    def restarted(self, backend: str, now: float) -> list[Output]:
        """The backend forgot everything without having been away."""
        if backend not in self._targets():
            return []
        for binding in sorted(self._made, key=self._need):
            self._registration(binding, backend).forgotten()
        return self._lines[backend].pump(now)

    def left(self, backend: str, now: float) -> list[Output]:
        """The backend lives and shall hold nothing any more: another is active, it was removed or is in maintenance.

        What it has been asked it answers first, and calls that wait here for a registration there are placed.
        """
        since = self._leaving.setdefault(backend, now)
        here = self._at(backend)
        asked = self.asked(backend) or any(registration.awaited for registration in here)
        if asked and now < since + ANSWERS_SECONDS:
            self._shared.alarms.set(Leave(self, backend), now + LOOK_SECONDS)
            return []
        self._stay(backend)
        return [output for one in here for output in one.unwant(now)] + self._lines[backend].pump(now)

    def _stay(self, backend: str) -> None:
        """There is nothing to be taken back from it."""
        if self._leaving.pop(backend, None) is not None:
            self._shared.alarms.set(Leave(self, backend), None)

    def busy(self, backend: str) -> bool:
        """Whether it is asked for something, or about to be."""
        line = self._lines[backend]
        return self._there[backend] and bool(backend in self._leaving or len(line) or line.pace.in_flight)

    def drop(self, backend: str, now: float) -> list[Output]:
        """It was removed, and is asked for nothing any more; what it believes expires there."""
        outputs = self.went(backend, now)
        for binding, made in self._made.items():
            self._made[binding] = tuple(one for one in made if one.backend != backend)
        for table in (self._strays, self._lines, self._there):
            table.pop(backend, None)
        return outputs

    # -- calls --------------------------------------------------------------------------------------

    def before_call(self, bindings: Iterable[Binding], backend: str, place: Place, now: float) -> list[Output]:
        """Place a call to the user of these bindings once the backend knows one of them.

        That is at once, but while registrations move: then this user's turn comes now. A backend that shall not hold
        them in general is lent them.
        """
        if backend not in self._targets():
            self._lend([one for one in bindings if one in self._made], backend, now)
        here = [found for one in bindings if (found := self._found(one, backend)) is not None]
        coming = [registration for registration in here if registration.coming]
        if not coming or any(registration.held for registration in here):
            return place(now)
        call = Waiting(self._shared, place, now)
        return [output for registration in coming for output in registration.await_it(call, now)]

    def before_call_to(self, user: str, backend: str, place: Place, now: float) -> list[Output]:
        """The same, for whoever has this name."""
        return self.before_call(self._by_user.get(user, ()), backend, place, now)

    def _lend(self, bindings: list[Binding], backend: str, now: float) -> None:
        for binding in bindings:
            registration = self._registration(binding, backend)
            registration.want()
            self._shared.alarms.set(Loan(self, binding, backend), now + LOAN_SECONDS)

    def return_loan(self, binding: Binding, backend: str, now: float) -> list[Output]:
        """A loan is over."""
        registration = self._found(binding, backend)
        if registration is None or backend in self._targets():
            return []
        return [*registration.unwant(now), *self._lines[backend].pump(now)]

    def active(self, user: str, now: float) -> None:
        """The user calls or is called: after a failover its turn comes before those of the silent."""
        if user in self._active_at or len(self._active_at) < MAX_ACTIVE:
            self._active_at[user] = now

    def _need(self, binding: Binding) -> float:
        """The sort key of who needs its registration most: who was active last."""
        return -self._active_at.get(binding.aor, float("-inf"))

    # -- people -------------------------------------------------------------------------------------

    def counts(self, backend: str) -> tuple[int, int]:
        """How many registrations the backend holds, and how many are still to be made."""
        here = self._at(backend)
        held = sum(registration.held for registration in here)
        return held, sum(registration.wanted for registration in here) - held

    # -- finding ------------------------------------------------------------------------------------

    def _found(self, binding: Binding, backend: str) -> Registration | None:
        for one in self._made.get(binding, ()):
            if one.backend == backend:
                return one
        return None

    def _registration(self, binding: Binding, backend: str) -> Registration:
        known = self._found(binding, backend)
        if known is None:
            known = Registration(self._shared, self._lines[backend], binding)
            self._made[binding] += (known,)
        return known

    def _at(self, backend: str) -> list[Registration]:
        return [one for made in self._made.values() for one in made if one.backend == backend]
