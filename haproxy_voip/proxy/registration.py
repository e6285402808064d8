"""One contact of ours at one backend (RFC 3261 section 10.2), and the calls that wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from haproxy_voip.proxy.challenges import Challenges
from haproxy_voip.proxy.facts import RegistrationRefused
from haproxy_voip.proxy.line import Line
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.bindings import Binding
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, header
from haproxy_voip.sip.transactions import ClientTransaction
from haproxy_voip.sip.uri import Uri

# What we ask for. Long, because we notice by ourselves when a backend forgets: it was down.
EXPIRES_SECONDS = 3600
# More than a day is no Min-Expires but a mistake (RFC 3261 section 10.2.8).
EXPIRES_MAX = 86_400
# Refreshed somewhere in this share of the granted time, so that what was registered together does not stay together.
REFRESH_BETWEEN = (0.5, 0.8)
REFRESH_MIN = 1.0  # seconds, however short the backend grants
# After a time-out: the first wait, doubled up to the last.
RETRY_FIRST, RETRY_LAST = 1.0, 60.0
# After a refusal that will be the same next time, until somebody changes a password.
REFUSED_FIRST, REFUSED_LAST = 60.0, 900.0
# A call waits so long at most for its callee's registration; the caller has heard 100.
CALL_WAITS_SECONDS = 5.0
# Calls that wait for one registration; more are placed at once.
MAX_WAITING_CALLS = 100
# RFC 3261 section 21.5: the server's trouble, not the request's.
OVERLOADED = frozenset({500, 503, 504})

Place = Callable[[float], list[Output]]


class Waiting:
    """A call that waits until its callee is known to the backend; not for ever, as another contact may answer."""

    __slots__ = ("_place", "_shared")

    def __init__(self, shared: Shared, place: Place, now: float) -> None:
        self._shared = shared
        self._place: Place | None = place
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
class Asking:
    """A REGISTER in flight, with its repetitions."""

    transaction: ClientTransaction  # of the last one
    challenges: Challenges
    wanted: bool  # what it asks for
    sent_at: float


class Registration:
    """Keeps the backend's mind what it should be: `wanted` says whether our contact shall be there.

    One REGISTER is in flight at most, so none can overtake another.
    """

    __slots__ = (
        "_asking", "_call_id", "_callers", "_cseq", "_expires", "_line", "_refused_wait", "_shared", "_told", "_wait",
        "backend", "binding", "held", "until", "wanted",
    )  # fmt: skip

    def __init__(self, shared: Shared, line: Line, binding: Binding) -> None:
        self._shared = shared
        self._line, self.backend = line, line.backend
        self.binding = binding
        self.wanted = False
        self.held = False  # the backend took it and has not been restarted since
        self.until: float | None = None  # until when the backend may believe in it; None: it does not
        self._call_id = shared.chance.token()
        self._cseq = 0
        self._expires = EXPIRES_SECONDS
        self._asking: Asking | None = None
        self._callers: tuple[Waiting, ...] = ()
        self._wait, self._refused_wait = RETRY_FIRST, REFUSED_FIRST
        self._told: str | None = None  # the refusal that people know of

    # -- what is wanted -----------------------------------------------------------------------------

    def want(self) -> None:
        """The backend shall hold it. The line is to be pumped then."""
        self.wanted = True
        if self._asking is None and not self.held:
            self._shared.alarms.set(self, None)
            self._line.join(self)

    def unwant(self, now: float) -> list[Output]:
        """The backend shall not hold it any more. The line is to be pumped then."""
        self.wanted = self.held = False
        self._shared.alarms.set(self, None)
        if self._asking is None:
            if self.believed(now):
                self._line.join(self)
            else:
                self._line.leave(self)
        return self._release(now)

    def forgotten(self) -> None:
        """The backend lives, but was restarted: it holds nothing any more. The line is to be pumped then."""
        self.held = False
        if self.wanted:
            self.want()

    def lost(self, now: float) -> list[Output]:
        """The backend is down: nothing is asked of it."""
        if self._asking is not None:
            self._shared.transactions.abandon(self._asking.transaction)
            self._asking = None
        self.wanted = self.held = False
        self._shared.alarms.set(self, None)
        self._line.leave(self)
        self._wait, self._refused_wait, self._told = RETRY_FIRST, REFUSED_FIRST, None
        return self._release(now)

    def believed(self, now: float) -> bool:
        """Whether the backend may still send calls here."""
        return self.until is not None and self.until > now

    @property
    def coming(self) -> bool:
        """Whether it is on its way to the backend, so that waiting for it makes sense."""
        return self.wanted and not self.held and (self._asking is not None or self in self._line)

    @property
    def awaited(self) -> bool:
        """Whether a call waits for it."""
        return bool(self._callers)

    def await_it(self, call: Waiting, now: float) -> list[Output]:
        """A call waits for it: its turn comes now, and the call hears when it is over."""
        if len(self._callers) >= MAX_WAITING_CALLS:
            return call.go_on(now)
        self._callers = (*self._callers, call)
        return self._line.hurry(self, now) if self._asking is None else []

    # -- asking -------------------------------------------------------------------------------------

    def take_turn(self, now: float) -> list[Output]:
        """Send a REGISTER that says what is wanted."""
        if not self.wanted and not self.believed(now):
            return []
        self._line.pace.sent(self)
        if self.wanted:
            self.until = now + self._expires
        challenges = Challenges(self._shared.authentication, self.backend, self.binding.aor)
        request = self._request(self._expires if self.wanted else 0)
        challenges.prove(request)
        transaction, outputs = self._send(request, now)
        self._asking = Asking(transaction, challenges, self.wanted, now)
        return outputs

    def _send(self, request: Request, now: float) -> tuple[ClientTransaction, list[Output]]:
        return self._shared.ask(request, self._shared.network.to_backend(self.backend), self, now)

    def _request(self, expires: int) -> Request:
        network = self._shared.network
        flow = network.to_backend(self.backend)
        self._cseq += 1
        wanted = Wanted(
            uri=network.uri(self.backend),
            address=f"sip:{self.binding.aor}@{self._shared.config.proxy.domain}",
            contact=network.contact(self.binding.key, flow),
            expires=expires,
        )
        return register(wanted, self._call_id, self._cseq, self._shared.chance.token())

    # -- what the backend says ----------------------------------------------------------------------

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Take its answer."""
        status = response.status
        if status < 200:
            return []
        asking = self._asking
        assert asking is not None
        if status in (401, 407):
            again = asking.challenges.again(response, transaction.request)
            if again is not None:
                self._cseq = again.cseq.number
                asking.transaction, outputs = self._send(again, now)
                return outputs
        self._asking = None
        if status < 300:
            return self._done(asking, response, now)
        reason = f"{status} {response.reason}"
        if status in OVERLOADED:
            return [*self._line.overloaded(self, retry_after(response), reason, now), *self._line.pump(now)]
        self._line.pace.dropped(self)
        least = min_expires(response)
        if status == 423 and self._expires < least <= EXPIRES_MAX and asking.wanted:
            self._expires = least
            return self._line.hurry(self, now)
        return self._refused("the password is wrong" if asking.challenges.refused else reason, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No answer: the connection is lost, or this request gets none."""
        self._asking = None
        if not self._shared.network.is_open(transaction.flow) and transaction.flow.connection:
            return [*self._line.overloaded(self, None, reason, now), *self._line.pump(now)]
        self._line.pace.refused(self)
        if self.wanted:
            wait, self._wait = self._wait, min(2 * self._wait, RETRY_LAST)
            self._shared.alarms.set(self, now + wait)
        return self._release(now) + self._line.pump(now)

    def wake(self, now: float) -> list[Output]:
        """Time to refresh, or to try again."""
        if self.wanted and self._asking is None:
            self._line.join(self)
        return self._line.pump(now)

    def _done(self, asking: Asking, response: Response, now: float) -> list[Output]:
        self._line.took(self, now - asking.sent_at)
        self._wait, self._refused_wait, self._told = RETRY_FIRST, REFUSED_FIRST, None
        granted = 0.0
        if asking.wanted:
            granted = granted_to(response, lambda uri: uri.user == self.binding.key, self._expires)
        self.until = now + granted if granted else None
        self.held = asking.wanted and self.wanted and granted > 0
        if self.held:
            share = self._shared.chance.between(*REFRESH_BETWEEN)
            self._shared.alarms.set(self, now + max(REFRESH_MIN, share * granted))
        elif asking.wanted and self.wanted:
            return self._refused("accepted for 0 s", now)
        elif self.wanted or self.believed(now):
            self._line.join(self)  # it was changed while this was under way
        return self._line.pump(now) + self._release(now)

    def _refused(self, reason: str, now: float) -> list[Output]:
        """It will say the same again: told once, and asked rarely."""
        outputs = self._line.pump(now) + self._release(now)
        if not self.wanted:
            self.until = None
            return outputs
        self.held = False
        wait, self._refused_wait = self._refused_wait, min(2 * self._refused_wait, REFUSED_LAST)
        self._shared.alarms.set(self, now + wait)
        if self._told == reason:
            return outputs
        self._told = reason
        return [RegistrationRefused(self.backend, self.binding.aor, reason, wait), *outputs]

    def _release(self, now: float) -> list[Output]:
        """Nothing more is to be waited for."""
        callers, self._callers = self._callers, ()
        return [output for caller in callers for output in caller.go_on(now)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a REGISTER of ours asks for."""

    uri: str  # of the registrar
    address: str  # of record, a SIP URI
    contact: str  # as in a header
    expires: int  # seconds; 0 takes it back


def register(wanted: Wanted, call_id: str, cseq: int, tag: str) -> Request:
    """One that asks for this, not sent yet."""
    address = f"<{wanted.address}>"
    headers = [
        header("Max-Forwards", "70"),
        header("From", f"{address};tag={tag}"),
        header("To", address),
        header("Call-ID", call_id),
        header("CSeq", f"{cseq} REGISTER"),
        header("Contact", wanted.contact),
        header("Expires", str(wanted.expires)),
    ]
    return Request("REGISTER", wanted.uri, headers)


def granted_to(response: Response, ours: Callable[[Uri], bool], asked: int) -> float:
    """How long the registrar keeps it: our contact's expires, else the header (RFC 3261 section 10.2.4)."""
    try:
        for contact in response.contacts:
            expires = contact.param("expires")
            if not contact.star and ours(contact.uri) and expires is not None and expires.isdigit():
                return float(expires)
        return float(asked if response.expires is None else response.expires)
    except MessageError:
        return float(asked)


def min_expires(response: Response) -> int:
    """What a 423 asks for at least; 0 when it does not say."""
    value = response.get("min-expires") or ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0


def retry_after(response: Response) -> float | None:
    """RFC 3261 section 20.33: seconds, perhaps with a comment and parameters."""
    digits = (response.get("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    return float(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None
