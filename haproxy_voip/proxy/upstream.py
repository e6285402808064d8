"""Our registrations at the backends: one contact of ours for each contact of a client.

In `mirror` mode every backend that is up holds all of them, so a failover moves none. In `active` mode only the
active one does; on a failover all are made at the next, as fast as it answers and the most needed first.
A client's own refreshes end at us and cause nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from haproxy_voip.cluster.pace import Pace
from haproxy_voip.proxy.facts import RegistrationRefused
from haproxy_voip.proxy.farewell import Silent
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.bindings import Binding
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction

# What we ask for. Long, because we notice by ourselves when a backend forgets: it was down.
EXPIRES_SECONDS = 3600
# Refreshed somewhere in this share of the granted time, so that what was registered together does not stay together.
REFRESH_BETWEEN = (0.5, 0.8)
# After a refusal: the first wait, doubled up to the last.
RETRY_FIRST, RETRY_LAST = 1.0, 60.0
# Two challenges in a row: our nonce went stale meanwhile. Three: the secret is wrong.
MAX_CHALLENGES = 2
# A call waits so long at most for its callee's registration; the caller has heard 100.
CALL_WAITS_SECONDS = 2.0
# Users whose last activity is remembered; more than that are all equal.
MAX_ACTIVE = 100_000
OVERLOADED = frozenset({500, 503, 504})


class Registration:
    """One contact at one backend; owns the REGISTER transactions that keep it there."""

    __slots__ = (
        "_challenges", "_home", "_sent_at", "_wait", "asked", "backend", "binding", "call_id", "callers", "cseq",
        "expires", "until", "waiting", "wanted",
    )  # fmt: skip

    def __init__(self, home: Upstream, binding: Binding, backend: str, call_id: str) -> None:
        self._home = home
        self.binding = binding
        self.backend = backend
        self.call_id = call_id
        self.cseq = 0
        self.expires = EXPIRES_SECONDS
        self.until: float | None = None  # when the backend forgets it; None: it does not hold it
        self.wanted = True  # False: it is being removed
        self.asked = False  # a REGISTER is in flight
        self.waiting = False  # its turn has not come yet
        self.callers: list[Waiting] = []  # calls to this user that wait for it
        self._wait = RETRY_FIRST
        self._challenges = 0
        self._sent_at = 0.0

    @property
    def held(self) -> bool:
        """Whether the backend knows this contact."""
        return self.until is not None

    def sent(self, now: float) -> None:
        """A REGISTER left."""
        self.asked, self.waiting = True, False
        self._sent_at = now
        self._challenges = 0

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Take what the backend says."""
        status = response.status
        if status < 200:
            return []
        if status in (401, 407) and self._challenges < MAX_CHALLENGES:
            self._challenges += 1
            again = self._home.with_credentials(self, response, transaction.request)
            if again is not None:
                return self._home.send(self, again, now)
        self.asked = False
        if status < 300:
            self._wait = RETRY_FIRST
            self.until = now + self._granted(response)
            return self._home.taken(self, now - self._sent_at, now)
        if status == 423:
            self.expires = _min_expires(response, self.expires)
        return self._home.refused(self, f"{status} {response.reason}", status in OVERLOADED, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No answer."""
        self.asked = False
        return self._home.refused(self, reason, True, now)

    def next_wait(self) -> float:
        """How long to wait after one more refusal, seconds."""
        wait, self._wait = self._wait, min(2 * self._wait, RETRY_LAST)
        return wait

    def wake(self, now: float) -> list[Output]:
        """Time to refresh, or to try again."""
        return self._home.due(self, now)

    def _granted(self, response: Response) -> float:
        """How long the backend keeps it: our contact's expires, else the header (RFC 3261 section 10.2.4)."""
        try:
            for contact in response.contacts:
                expires = contact.param("expires")
                if contact.uri.user == self.binding.key and expires is not None and expires.isdigit():
                    return float(expires)
            return float(response.expires or self.expires)
        except MessageError:
            return float(self.expires)


class Waiting:
    """A call that waits until its callee is known to the backend; not for ever, as another contact may answer."""

    __slots__ = ("_place", "_shared")

    def __init__(self, shared: Shared, place: Callable[[float], list[Output]], now: float) -> None:
        self._shared = shared
        self._place: Callable[[float], list[Output]] | None = place
        shared.alarms.set(self, now + CALL_WAITS_SECONDS)

    def go_on(self, now: float) -> list[Output]:
        """Place the call, unless it was placed already."""
        place, self._place = self._place, None
        self._shared.alarms.set(self, None)
        return [] if place is None else place(now)

    def wake(self, now: float) -> list[Output]:
        """It waited long enough."""
        return self.go_on(now)


@dataclass(slots=True)
class Line:
    """Registrations whose turn at one backend has not come, most needed first, and how fast it takes them."""

    pace: Pace
    waiting: dict[Registration, None]


class Upstream:
    """All our registrations. `targets` tells the backends that shall hold them."""

    def __init__(self, shared: Shared, targets: Callable[[], list[str]]) -> None:
        self._shared = shared
        self._targets = targets
        self._held: dict[Binding, dict[str, Registration]] = {}
        self._active_at: dict[str, float] = {}
        self._lines = {backend.name: Line(Pace(), {}) for backend in shared.config.backends}

    # -- what the registrar and the node ask --------------------------------------------------------

    def add(self, binding: Binding, now: float) -> list[Output]:
        """A client registered a new contact."""
        self._held.setdefault(binding, {})
        return self._wherever([binding], now)

    def remove(self, binding: Binding, now: float) -> list[Output]:
        """A client's contact is gone: take it back everywhere."""
        outputs: list[Output] = []
        for registration in self._held.pop(binding, {}).values():
            outputs += self._withdraw(registration, now)
        return outputs

    def came(self, backend: str, now: float) -> list[Output]:
        """The backend may hold registrations now: it is up, or became the active one."""
        if backend not in self._targets():
            return []
        return self._wherever(sorted(self._held, key=self._need), now)

    def went(self, backend: str) -> None:
        """The backend is down: it holds nothing that counts, and is asked for nothing."""
        line = self._lines[backend]
        line.waiting.clear()
        line.pace = Pace()
        for registrations in self._held.values():
            registration = registrations.pop(backend, None)
            if registration is not None:
                registration.wanted = False
                self._shared.alarms.set(registration, None)

    def left(self, backend: str, now: float) -> list[Output]:
        """The backend shall hold nothing any more though it lives: another one is active (`active` mode)."""
        outputs: list[Output] = []
        for registrations in self._held.values():
            registration = registrations.pop(backend, None)
            if registration is not None:
                outputs += self._withdraw(registration, now)
        return outputs

    def before_call(
        self, bindings: list[Binding], backend: str, place: Callable[[float], list[Output]], now: float
    ) -> list[Output]:
        """Place a call to the user of these bindings once the backend knows one of them.

        That is at once, but while registrations move: then this user's turn comes now.
        """
        registrations = [self._held[one][backend] for one in bindings if backend in self._held.get(one, ())]
        if not registrations or any(registration.held for registration in registrations):
            return place(now)
        waiting = Waiting(self._shared, place, now)
        outputs: list[Output] = []
        for registration in registrations:
            registration.callers.append(waiting)
            if registration.waiting:
                self._lines[backend].waiting.pop(registration, None)
                outputs += self._register(registration, now)
        return outputs

    def counts(self, backend: str) -> tuple[int, int]:
        """How many registrations the backend holds, and how many are still to be made."""
        here = [held[backend] for held in self._held.values() if backend in held]
        return sum(registration.held for registration in here), sum(not registration.held for registration in here)

    def active(self, user: str, now: float) -> None:
        """The user calls or is called: after a failover its turn comes before those of the silent."""
        if user in self._active_at or len(self._active_at) < MAX_ACTIVE:
            self._active_at[user] = now

    def _need(self, binding: Binding) -> float:
        """The sort key of who needs its registration most: who was active last."""
        return -self._active_at.get(binding.aor, float("-inf"))

    # -- making them --------------------------------------------------------------------------------

    def _wherever(self, bindings: list[Binding], now: float) -> list[Output]:
        outputs: list[Output] = []
        for backend in self._targets():
            line = self._lines[backend]
            for binding in bindings:
                registrations = self._held[binding]
                if backend not in registrations:
                    registration = Registration(self, binding, backend, self._shared.chance.token())
                    registrations[backend] = registration
                    registration.waiting = True
                    line.waiting[registration] = None
            outputs += self._pump(backend, now)
        return outputs

    def _pump(self, backend: str, now: float) -> list[Output]:
        line = self._lines[backend]
        outputs: list[Output] = []
        while line.waiting and line.pace.may_send():
            registration = next(iter(line.waiting))
            del line.waiting[registration]
            outputs += self._register(registration, now)
        return outputs

    def _register(self, registration: Registration, now: float) -> list[Output]:
        self._lines[registration.backend].pace.sent(registration)
        registration.sent(now)
        flow, opening = self._shared.network.to_backend(registration.backend)
        contact = self._shared.network.contact(registration.binding.key, flow)
        return [*opening, *self.send(registration, self._request(registration, contact, registration.expires), now)]

    def send(self, registration: Registration, request: Request, now: float) -> list[Output]:
        """Put a REGISTER on its way."""
        flow, opening = self._shared.network.to_backend(registration.backend)
        return [*opening, *self._shared.ask(request, flow, registration, now)[1]]

    def _request(self, registration: Registration, contact: str, expires: int) -> Request:
        registration.cseq += 1
        address = f"<sip:{registration.binding.aor}@{self._shared.config.proxy.domain}>"
        headers = [
            header("Max-Forwards", "70"),
            header("From", f"{address};tag={self._shared.chance.token()}"),
            header("To", address),
            header("Call-ID", registration.call_id),
            header("CSeq", f"{registration.cseq} REGISTER"),
            header("Contact", contact),
            header("Expires", str(expires)),
        ]
        return Request("REGISTER", f"sip:{self._shared.network.endpoint(registration.backend).address}", headers)

    def with_credentials(self, registration: Registration, response: Response, sent: Request) -> Request | None:
        """The REGISTER again, answering the challenge; None when we cannot."""
        credentials = self._shared.answer_challenge(response, sent, registration.binding.aor)
        if credentials is None:
            return None
        registration.cseq += 1
        headers = [item for item in sent.headers if item[0] not in ("via", "cseq", credentials[0])]
        headers += [header("CSeq", f"{registration.cseq} REGISTER"), credentials]
        return Request("REGISTER", sent.uri, headers)

    # -- what becomes of them -----------------------------------------------------------------------

    def taken(self, registration: Registration, seconds: float, now: float) -> list[Output]:
        """The backend holds it; on to the next."""
        self._lines[registration.backend].pace.answered(registration, seconds)
        if not registration.wanted:
            return self._pump(registration.backend, now)
        assert registration.until is not None
        share = self._shared.chance.between(*REFRESH_BETWEEN)
        self._shared.alarms.set(registration, now + share * (registration.until - now))
        outputs = self._pump(registration.backend, now)
        callers, registration.callers = registration.callers, []
        for caller in callers:
            outputs += caller.go_on(now)
        return outputs

    def refused(self, registration: Registration, reason: str, overloaded: bool, now: float) -> list[Output]:
        """The backend does not take it now; try again, later each time."""
        pace = self._lines[registration.backend].pace
        if overloaded:
            pace.refused(registration)
        else:
            pace.dropped(registration)
        outputs = self._pump(registration.backend, now)
        if not registration.wanted:
            return outputs
        wait = registration.next_wait()
        self._shared.alarms.set(registration, now + wait)
        return [RegistrationRefused(registration.backend, registration.binding.aor, reason, wait), *outputs]

    def due(self, registration: Registration, now: float) -> list[Output]:
        """Refresh, or try again, when its turn comes."""
        if not registration.wanted or registration.asked:
            return []
        registration.waiting = True
        self._lines[registration.backend].waiting[registration] = None
        return self._pump(registration.backend, now)

    def _withdraw(self, registration: Registration, now: float) -> list[Output]:
        registration.wanted = False
        self._shared.alarms.set(registration, None)
        self._lines[registration.backend].waiting.pop(registration, None)
        if not registration.held and not registration.asked:
            return []
        flow, opening = self._shared.network.to_backend(registration.backend)
        contact = self._shared.network.contact(registration.binding.key, flow)
        request = self._request(registration, contact, 0)
        return [*opening, *self._shared.ask(request, flow, Withdrawal(self, registration), now)[1]]

    def withdraw_again(
        self, registration: Registration, request: Request, owner: Withdrawal, now: float
    ) -> list[Output]:
        """The unregistration once more, with credentials."""
        flow, opening = self._shared.network.to_backend(registration.backend)
        return [*opening, *self._shared.ask(request, flow, owner, now)[1]]


class Withdrawal(Silent):
    """Owner of an unregistration: answers one challenge, and else does not care; it would expire anyway."""

    __slots__ = ("_again", "_home", "_registration")

    def __init__(self, home: Upstream, registration: Registration) -> None:
        self._home = home
        self._registration = registration
        self._again = False

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Answer a challenge once."""
        if response.status not in (401, 407) or self._again:
            return []
        self._again = True
        again = self._home.with_credentials(self._registration, response, transaction.request)
        return [] if again is None else self._home.withdraw_again(self._registration, again, self, now)


def _min_expires(response: Response, asked: int) -> int:
    """RFC 3261 section 10.2.8: ask again for at least what the registrar wants."""
    value = response.get("min-expires") or ""
    return int(value) if value.isascii() and value.isdigit() and int(value) < 86_400 else asked
