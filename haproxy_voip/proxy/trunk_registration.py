"""Our registration at one carrier (RFC 3261 section 10.2): made, refreshed, tried again, and taken back at the end.

What goes wrong is tried again ever more rarely, and never by all who lost the carrier at the same moment: every wait is
a random share of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from haproxy_voip.configuration.peers import TrunkConfig
from haproxy_voip.core.address import Flow
from haproxy_voip.proxy.challenges import Challenges
from haproxy_voip.proxy.effects import Left
from haproxy_voip.proxy.registration import (
    EXPIRES_MAX,
    OVERLOADED,
    REFRESH_BETWEEN,
    REFRESH_MIN,
    Wanted,
    granted_to,
    min_expires,
    register,
    retry_after,
)
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.trunk_facts import TrunkRegistered, TrunkRegistrationFailed
from haproxy_voip.proxy.trunks import Trunk, Trunks
from haproxy_voip.sip.message import Request, Response
from haproxy_voip.sip.transactions import ClientTransaction
from haproxy_voip.sip.uri import escape_user

# After no answer, or 5xx: the first wait, doubled up to the last.
RETRY_FIRST, RETRY_LAST = 2.0, 120.0
# After a refusal, which will be the same until somebody changes an account. Some carriers ban who asks too often.
REFUSED_FIRST, REFUSED_LAST = 60.0, 900.0
# The share of each wait that is waited.
JITTER = (0.5, 1.0)
# What a carrier may ask for by Retry-After; longer, and somebody who has mended it would wait for us.
RETRY_AFTER_MAX = 900.0


class State(StrEnum):
    """What the carrier is known to think of us."""

    REGISTERING = "registering"
    REGISTERED = "registered"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    LEFT = "left"


class TrunkRegistration:
    """See the module. One REGISTER is in flight at most, so none can overtake another."""

    def __init__(self, shared: Shared, trunk: Trunk, left: Callable[[], list[Output]]) -> None:
        self._shared = shared
        self._left = left  # called when there is nothing more to take back
        self._call_id = shared.chance.token()
        self._cseq = 0
        register = trunk.config.register
        assert register is not None and trunk.account is not None
        self._account = trunk.account
        self._name, self._host, self._uri = trunk.name, trunk.host, trunk.uri("")
        self._expires = int(register.expires)
        self._challenges: Challenges | None = None
        self._transaction: ClientTransaction | None = None
        self._retry, self._refused = RETRY_FIRST, REFUSED_FIRST
        self._state = State.REGISTERING
        self._leaving = False
        self.until: float | None = None  # until when the carrier may send calls here; None: it does not
        self.last_error: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a REGISTER waits for its answer."""
        return self._transaction is not None

    def state(self, now: float) -> State:
        """Registered as long as it lasts, even if the refresh failed."""
        if self._leaving:
            return State.LEFT
        return State.REGISTERED if self.until is not None and now < self.until else self._state

    def begin(self, now: float) -> None:
        """Register as soon as the node runs."""
        self._shared.alarms.set(self, now)

    def leave(self, now: float) -> list[Output]:
        """Take it back; nothing is asked for any more."""
        self._leaving = True
        self._shared.alarms.set(self, None)
        believed = self._transaction is not None or (self.until is not None and now < self.until)
        if self._transaction is not None:
            self._shared.transactions.abandon(self._transaction)
            self._transaction = None
        return self._register(0, now) if believed else self._left()

    def wake(self, now: float) -> list[Output]:
        """Time to register, to refresh, or to try again."""
        return [] if self._transaction is not None else self._register(self._expires, now)

    # -- asking -------------------------------------------------------------------------------------

    def _register(self, expires: int, now: float) -> list[Output]:
        self._challenges = Challenges(self._account, self._name, self._account.user)
        request = self._request(expires)
        self._challenges.prove(request)
        return self._send(request, self._shared.network.to_backend(self._name), now)

    def _request(self, expires: int) -> Request:
        network = self._shared.network
        user = escape_user(self._account.user)
        self._cseq += 1
        wanted = Wanted(
            uri=self._uri,
            address=f"sip:{user}@{self._host}",
            contact=network.contact(user, network.to_backend(self._name)),
            expires=expires,
        )
        return register(wanted, self._call_id, self._cseq, self._shared.chance.token())

    def _send(self, request: Request, flow: Flow, now: float) -> list[Output]:
        self._transaction, outputs = self._shared.ask(request, flow, self, now)
        return outputs

    # -- what the carrier says ----------------------------------------------------------------------

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Take its answer."""
        status = response.status
        if status < 200:
            return []
        if status in (401, 407) and self._challenges is not None:
            again = self._challenges.again(response, transaction.request)
            if again is not None:
                self._cseq = again.cseq.number
                return self._send(again, transaction.flow, now)
        self._transaction = None
        if self._leaving:
            return self._left()
        if status < 300:
            return self._done(response, transaction.request, now)
        least = min_expires(response)
        if status == 423 and self._expires < least <= EXPIRES_MAX:
            self._expires = least
            return self._register(least, now)
        reason = f"{status} {response.reason}"
        if status in OVERLOADED or status == 408:
            return self._later(reason, retry_after(response), now)
        if self._challenges is not None and self._challenges.refused:
            reason = "the password is wrong"
        return self._refusal(reason, now)

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No answer: what was registered may still be there."""
        self._transaction = None
        return self._left() if self._leaving else self._later(reason, None, now)

    def end(self, reason: str, now: float) -> list[Output]:
        """A mistake of ours met its answer."""
        self._transaction = None
        return self._left() if self._leaving else self._later(reason, None, now)

    def _done(self, response: Response, request: Request, now: float) -> list[Output]:
        uri = request.contacts[0].uri
        granted = granted_to(response, lambda contact: contact.same_as(uri), self._expires)
        if granted <= 0:
            return self._refusal("accepted for 0 s", now)
        told = self.state(now) is State.REGISTERED and self.last_error is None
        self.until = now + granted
        self._state, self.last_error = State.REGISTERED, None
        self._retry, self._refused = RETRY_FIRST, REFUSED_FIRST
        share = self._shared.chance.between(*REFRESH_BETWEEN)
        self._shared.alarms.set(self, now + max(REFRESH_MIN, share * granted))
        return [] if told else [TrunkRegistered(self._name, self._account.user, granted)]

    def _later(self, reason: str, wanted: float | None, now: float) -> list[Output]:
        """It may be better soon; what it wants us to wait is waited, and no less."""
        wait, self._retry = self._retry, min(2 * self._retry, RETRY_LAST)
        wait *= self._shared.chance.between(*JITTER)
        if wanted is not None:
            wait = max(wait, min(wanted, RETRY_AFTER_MAX))
        return self._again_in(wait, State.UNREACHABLE, reason, now)

    def _refusal(self, reason: str, now: float) -> list[Output]:
        """It knows what it does: no call comes here any more."""
        wait, self._refused = self._refused, min(2 * self._refused, REFUSED_LAST)
        self.until = None
        return self._again_in(wait * self._shared.chance.between(*JITTER), State.REFUSED, reason, now)

    def _again_in(self, wait: float, state: State, reason: str, now: float) -> list[Output]:
        told = self.last_error == reason
        self._state, self.last_error = state, reason
        self._shared.alarms.set(self, now + wait)
        return [] if told else [TrunkRegistrationFailed(self._name, self._account.user, reason, wait)]


class TrunkRegistrations:
    """Those of all trunks that want one."""

    def __init__(self, shared: Shared, trunks: Trunks, now: float) -> None:
        self._shared = shared
        self._trunks = trunks
        self._made: dict[Trunk, TrunkRegistration] = {}
        self._ending: list[TrunkRegistration] = []
        self._word: Left | None = None  # to be said once all were taken back
        for trunk in trunks:
            self._begin(trunk, now)

    def _begin(self, trunk: Trunk, now: float) -> None:
        if trunk.account is not None:
            registration = self._made[trunk] = TrunkRegistration(self._shared, trunk, self._left)
            registration.begin(now)

    def reconfigured(self, configs: tuple[TrunkConfig, ...], now: float) -> list[Output]:
        """These are the trunks now. Calls go on over one that is not there any more, or is elsewhere."""
        outputs: list[Output] = []
        before = {trunk: trunk.config for trunk in self._trunks}
        self._ending = [one for one in self._ending if one.busy]
        wanted = {config.name: config for config in configs}
        changed = [trunk for trunk, old in before.items() if _elsewhere(old, wanted.get(trunk.name))]
        for trunk in changed:
            registration = self._made.pop(trunk, None)
            if registration is not None:
                outputs += registration.leave(now)
                self._ending.append(registration)
            self._shared.network.forget_trunk(trunk.name)
        self._trunks.replace(configs)
        for trunk in self._trunks:
            if trunk in changed or trunk not in before:
                self._begin(trunk, now)
        return outputs

    def leave(self, word: Left, now: float) -> list[Output]:
        """Take all of them back. `word` is said when that has been done as well as can be."""
        self._word = word
        outputs = [output for one in self._made.values() for output in one.leave(now)]
        return outputs if any(isinstance(output, Left) for output in outputs) else outputs + self._left()

    def _left(self) -> list[Output]:
        waiting = any(one.busy for one in (*self._made.values(), *self._ending))
        return [self._word] if self._word is not None and not waiting else []

    def rows(self, now: float) -> list[dict[str, Any]]:
        """For `status`."""
        return [self._row(trunk, self._made.get(trunk), now) for trunk in self._trunks]

    def _row(self, trunk: Trunk, made: TrunkRegistration | None, now: float) -> dict[str, Any]:
        left = None if made is None or made.until is None or made.until <= now else round(made.until - now)
        return {
            "name": trunk.name,
            "address": str(trunk.config.address),
            "calls": trunk.calls,
            "max_calls": trunk.config.max_calls,
            "registration": None if made is None else str(made.state(now)),
            "expires_in": left,
            "last_error": None if made is None else made.last_error,
        }


def _elsewhere(old: TrunkConfig, new: TrunkConfig | None) -> bool:
    """Whether what is registered there is of no use any more."""
    return new is None or (old.address, old.register) != (new.address, new.register)
