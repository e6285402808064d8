"""Every call of the node: where new ones come in, and what becomes of them when a backend dies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from haproxy_voip.cluster.choice import Choice
from haproxy_voip.cluster.decisions import Decision, Thing, decide
from haproxy_voip.core.effects import Send
from haproxy_voip.proxy import farewell, story
from haproxy_voip.proxy.attempt import Attempt
from haproxy_voip.proxy.call import Call, CallState
from haproxy_voip.proxy.caller import Incoming
from haproxy_voip.proxy.claims import Claims
from haproxy_voip.proxy.clearance import Clearance
from haproxy_voip.proxy.errands import Errands
from haproxy_voip.proxy.facts import BackendRemembered, CallJoined
from haproxy_voip.proxy.farewell import Silent
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.limit_facts import CallLimitReached
from haproxy_voip.proxy.moves import Moves, Reckoning
from haproxy_voip.proxy.pairing import conversations
from haproxy_voip.proxy.placing import Placing
from haproxy_voip.proxy.quota import Quota
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.turns import Turns
from haproxy_voip.proxy.upstream import Upstream
from haproxy_voip.rtp.fingerprint import Fingerprints
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Response
from haproxy_voip.sip.transactions import ClientTransaction

# Dialogs a dead backend may still believe in; told to end when it returns. More are dropped, oldest first.
MAX_REMEMBERED = 1000

# Tells that something went wrong at a backend which says little alone: (backend, reason, now).
Doubt = Callable[[str, str, float], list[Output]]


class Calls:
    """The calls by backend, in the order they came."""

    def __init__(self, shared: Shared, doubt: Doubt, choice: Choice, upstream: Upstream) -> None:
        self.shared = self._shared = shared
        self._upstream = upstream
        self.doubt = doubt
        self.placing = Placing(shared, choice)
        # Who is on the way to a backend has a place there: the two ends of a conversation.
        choice.calls = lambda name: len(self._by_backend[name]) + 2 * len(self._coming(name))
        self._by_backend: defaultdict[str, dict[Call, None]] = defaultdict(
            dict, {backend.name: {} for backend in shared.config.backends}
        )
        self.claims = Claims()
        self.errands = Errands(shared.alarms)
        self.turns = Turns(self.errands)
        self._remembered: dict[str, list[Leg]] = {}
        self._clearances: dict[str, Clearance] = {}  # the backends that are drained of their calls
        self.fingerprints = Fingerprints()
        self._owners: dict[int, Call] = {}  # of streams, as far as somebody asked
        self.count = 0
        self.quota = Quota()

    # -- coming in ----------------------------------------------------------------------------------

    def invite(self, incoming: Incoming, callee: Invitation, now: float) -> list[Output]:
        """A new call, or a backend's claim to one whose phone rings or talks already. Raises MessageError."""
        if callee.side is Side.BACKEND or self.claims.none(now):
            return self._begin(incoming, callee, now)
        here = [*self._by_backend[callee.backend], *self._coming(callee.backend)]
        claim = self.claims.read(incoming, callee, here, now)
        if claim.call is not None:
            self.claims.settle(claim.call)
            claimed = claim.call.claim(incoming, callee.backend, now)
            return [*claimed, story.dialog(claim.call, Side.BACKEND, incoming.request, incoming.flow)]
        if claim.refuse:
            # Somebody talks here, and would hear it ring for a call that cannot be told from the one they have.
            raise MessageError("which of the calls at this phone is meant cannot be told", status=480)
        outputs: list[Output] = []
        if claim.replaced is not None and claim.replaced.unclaimed is not None:
            # It is the same call, but an answer to the former offer is none to this one: the phone rings anew.
            outputs = claim.replaced.refuse(480, "the next backend offers another session", now)
        return outputs + self._begin(incoming, callee, now)

    def _begin(self, incoming: Incoming, callee: Invitation, now: float) -> list[Output]:
        if self.count >= self._shared.config.limits.max_calls:
            raise MessageError("limits.max_calls is reached", status=503)
        limit = self._shared.config.limits.calls_per_user
        if self.quota.used_up(callee, limit):
            return [*self._shared.refuse(incoming.transaction, 503, now), CallLimitReached(callee.user, limit or 0)]
        if callee.side is Side.BACKEND and not self.placing.takes(callee.backend):
            # It was lost, or others filled it, while the call waited for its callee's registration there.
            backend = self.placing.instead(callee, now)
            elsewhere = callee.at(self._shared, backend)
            return self._upstream.before_call_to(
                callee.name, backend, lambda at: self._placed(incoming, elsewhere, at), now
            )
        if callee.trunk is not None:
            callee.trunk.admit()
        call = Call(self._shared, self, incoming, callee, now)
        self.count += 1
        self.quota.began(call)
        if call.trunk is not None:
            call.trunk.calls += 1
        if callee.side is Side.BACKEND:
            self.placing.placed(call.backend)
        self._by_backend[call.backend][call] = None
        self.placing.add(call)
        return call.start(now)

    def _placed(self, incoming: Incoming, callee: Invitation, now: float) -> list[Output]:
        if incoming.transaction.last_status is not None:
            return []  # cancelled while it waited
        try:
            return self.invite(incoming, callee, now)
        except MessageError as error:
            return self._shared.refuse(incoming.transaction, error.status, now, error.headers)

    # -- what calls ask -----------------------------------------------------------------------------

    def next_backend(self, call: Call) -> str | None:
        """Where to call next: usable, and not asked before for this call."""
        return self.placing.another(call)

    def when_known(self, callee: str, backend: str, place: Callable[[float], list[Output]], now: float) -> list[Output]:
        """Do this once the backend knows a contact of the callee."""
        return self._upstream.before_call_to(callee, backend, place, now)

    def unlearn(self, call: Call) -> None:
        """Who its other end is may change: what was heard until now proves nothing any more."""
        for stream in call.media.streams:
            self.fingerprints.forget(stream)

    def withdraw(self, call: Call, attempt: Attempt, headers: list[Header], now: float) -> list[Output]:
        """Cancel an INVITE of this call; a backend may have called somebody for it by now."""
        if attempt.side is Side.BACKEND:
            self.claims.withdrawn.add(call, attempt, now)
        return attempt.cancel(headers, now)

    def rehome(self, call: Call, backend: str) -> None:
        """The call is on another backend now."""
        self._by_backend[call.backend].pop(call, None)
        if call.callee.side is Side.BACKEND:
            self.placing.placed(backend)
        call.backend = backend
        self._by_backend[backend][call] = None

    def forget(self, call: Call) -> None:
        """The call ended."""
        if self._by_backend[call.backend].pop(call, call) is None:
            self.count -= 1
            self.quota.ended(call)
            self.placing.remove(call)
            if call.trunk is not None:
                call.trunk.calls -= 1
        for stream in call.media.streams:
            self._owners.pop(stream, None)
        self.claims.forget(call)

    # -- drain --move -------------------------------------------------------------------------------

    def clear(self, backend: str, now: float) -> list[Output]:
        """Move the calls on this backend to others, one by one."""
        outputs = self.stay(backend, now)
        clearance = self._clearances[backend] = Clearance(self, backend, self._conversations)
        return outputs + clearance.begin(now)

    def stay(self, backend: str, now: float, alive: bool = True) -> list[Output]:
        """Move no more of them."""
        clearance = self._clearances.pop(backend, None)
        return [] if clearance is None else clearance.stop("it is not drained any more", now, alive)

    def clearance(self, backend: str) -> Clearance | None:
        """How far that has come; None: its calls stay."""
        return self._clearances.get(backend)

    def on(self, backend: str) -> list[Call]:
        """The calls on this backend."""
        return list(self._by_backend[backend])

    def asked(self, backend: str) -> bool:
        """Whether this backend has an INVITE to answer."""
        attempts = (call.attempt for call in self._by_backend[backend])
        return any(one is not None and one.side is Side.BACKEND and not one.over for one in attempts)

    @property
    def all(self) -> list[Call]:
        """The calls on every backend."""
        return [call for calls in self._by_backend.values() for call in calls]

    def drop(self, backend: str) -> None:
        """It was removed, and nothing is there."""
        for table in (self._by_backend, self._remembered, self._clearances):
            table.pop(backend, None)

    def _coming(self, backend: str) -> list[Call]:
        """Those that it is asked to take over from one that lives."""
        moves = [clearance.current for clearance in self._clearances.values()]
        return [move.ours.call for move in moves if move is not None and move.target == backend]

    def _conversations(self, calls: list[Call]) -> dict[Call, Call]:
        return conversations(calls, self.fingerprints)

    def _call_off(self, backend: str, alive: bool, now: float) -> list[Output]:
        """It died: what was to leave it, or to come to it, is no matter of making before breaking any more."""
        outputs = self.stay(backend, now, alive)
        return outputs + self.keep_from(backend, "in maintenance" if alive else "down", now)

    def keep_from(self, backend: str, why: str, now: float) -> list[Output]:
        """None of those that move is to come here."""
        outputs: list[Output] = []
        for clearance in list(self._clearances.values()):
            current = clearance.current
            if current is not None and current.target == backend:
                outputs += current.call_off(f"{backend} is {why}", now)
        return outputs

    # -- failover -----------------------------------------------------------------------------------

    def evacuate(self, backend: str, moves: Moves, alive: bool, now: float) -> list[Output]:
        """Everything on this backend moves or ends; `moves` is told which. `alive`: it hears what we tell it.

        At once: whoever talks leaves the backend, so that nothing it still says reaches them. What takes longer, above
        all asking the next one, is done in small steps.
        """
        # Who is not carried by a backend waits to be claimed, or gives up, as before this one died again.
        here = [call for call in self._by_backend[backend] if call.caller is not None]
        outputs: list[Output] = []
        for call in sorted(here, key=lambda one: not one.answered):
            if not call.over:  # it may have ended with its partner meanwhile
                outputs += apart(lambda one, at: self._carry_out(one, moves, alive, at), call, now)
        return outputs

    def join(self, backend: str, now: float, alive: bool = False) -> list[Output]:
        """Let those who talk to each other over this backend hear each other, before anything else is done."""
        outputs = self._call_off(backend, alive, now)
        self.fingerprints.advance(now)
        alone = [call for call in self._by_backend[backend] if call.caller is not None and call.partner is None]
        joined = []
        for call, partner in self._conversations(alone).items():
            if call.partner is None and call.media.join(partner.media):
                call.partner, partner.partner = partner, call
                outputs += call.media.plans() + partner.media.plans()
                joined.append(CallJoined(call.token, partner.token, backend, now))
        return [*outputs, *joined]

    def _carry_out(self, call: Call, moves: Moves, alive: bool, now: float) -> list[Output]:
        reason = f"{call.backend} is {'in maintenance' if alive else 'down'}"
        match decide(_thing(call), another=self.next_backend(call) is not None):
            case Decision.INVITE_AGAIN:
                moves.move("calls being set up")
                return self._invite_again(call, reason, alive, now)
            case Decision.KEEP_RINGING:
                moves.move("phones ringing")
                self.claims.wait(call)
                return call.orphan(now)
            case Decision.CARRY_ON:
                moves.move("answered calls")
                return self._carry_on(call, alive, moves.reckoning, now)
            case Decision.HANG_UP if call.partner is not None:
                moves.move("answered calls")
                return self._carry_on(call, alive, moves.reckoning, now)
            case Decision.HANG_UP:
                moves.lose("answered calls, no other backend")
                if alive:
                    return call.hang_up(reason, now)
                self.remember(call)
                return call.hang_up(reason, now, but=Side.BACKEND)
            case Decision.CANCEL:
                moves.lose("phones ringing, no other backend")
                return call.orphan(now) + call.refuse(480, reason, now)
        moves.lose("calls being set up, no other backend")
        return self._stop_asking(call, alive, now) + call.refuse(503, reason, now)

    def _carry_on(self, call: Call, alive: bool, reckoning: Reckoning, now: float) -> list[Output]:
        """The client talks on while its call is built anew."""
        if not alive:
            self.remember(call)
        self.claims.wait(call)
        return call.survive(alive, reckoning, now)

    def elsewhere(self, call: Call, reason: str, now: float) -> list[Output] | None:
        """Call the next backend that was not asked yet, once the callee is known there; None when there is none."""
        successor = self.next_backend(call)
        if successor is None:
            return None
        return self._upstream.before_call_to(call.callee.name, successor, lambda at: self._go_on(call, reason, at), now)

    def _invite_again(self, call: Call, reason: str, alive: bool, now: float) -> list[Output]:
        return self._stop_asking(call, alive, now) + (self.elsewhere(call, reason, now) or [])

    def _stop_asking(self, call: Call, alive: bool, now: float) -> list[Output]:
        if call.attempt is None:
            return []
        return call.attempt.cancel([], now) if alive else call.attempt.give_up(now)

    def _go_on(self, call: Call, reason: str, now: float) -> list[Output]:
        if call.over or call.attempt is None or not call.attempt.over:
            return []
        successor = self.next_backend(call)
        return call.refuse(503, reason, now) if successor is None else call.move(successor, reason, now)

    def remember(self, call: Call) -> None:
        """The dead backend may come back believing in this dialog."""
        for leg in call.legs:
            if leg.side is Side.BACKEND:
                known = self._remembered.setdefault(call.backend, [])
                known.append(leg)
                del known[:-MAX_REMEMBERED]

    def returned(self, backend: str, now: float) -> list[Output]:
        """The backend is up again, perhaps with all it knew: end the dialogs that ended without it."""
        legs = self._remembered.pop(backend, [])
        outputs: list[Output] = [BackendRemembered(backend, len(legs))] if legs else []
        for leg in legs:
            outputs += farewell.bye(self._shared, leg, [], now)
        return outputs

    def restarted(self, backend: str, now: float) -> list[Output]:
        """The backend may have lost its calls without being away.

        Answered ones are asked for: who does not know the dialog says 481. An INVITE without answer is sent once
        more: a backend that knows it takes it for a repetition, one that does not for a new call.
        """
        outputs: list[Output] = []
        for call in list(self._by_backend[backend]):
            transaction = None if call.attempt is None else call.attempt.transaction
            if call.answered:
                outputs += [output for leg in call.legs if leg.side is Side.BACKEND for output in self._ask(leg, now)]
            elif call.callee.side is Side.BACKEND and transaction is not None and not transaction.answered:
                outputs.append(Send(transaction.flow, transaction.data))
        return outputs

    def _ask(self, leg: Leg, now: float) -> list[Output]:
        return self._shared.ask(leg.dialog.request("OPTIONS"), leg.flow, Verification(leg), now)[1]

    def carrier_of(self, stream: int) -> str | None:
        """The backend that carries this stream; None when none does. Asked for every stream of a backend that dies."""
        if stream not in self._owners:
            self._owners = {
                one: call for calls in self._by_backend.values() for call in calls for one in call.media.streams
            }
        call = self._owners.get(stream)
        return call.backend if call is not None and call.answered and call.survival is None else None

    def carriers_of(self, streams: tuple[int, ...]) -> dict[str, tuple[int, int]]:
        """The backends that carry these streams -> how many calls these are, and how many answered ones it carries."""
        wanted = set(streams)
        counts: dict[str, tuple[int, int]] = {}
        for name, calls in self._by_backend.items():
            carried = [call for call in calls if call.answered and call.survival is None]
            meant = sum(not wanted.isdisjoint(call.media.streams) for call in carried)
            if meant:
                counts[name] = (meant, len(carried))
        return counts

    def cannot_bind(self, stream: int) -> None:
        """The ports of this stream are not to be had."""
        for calls in self._by_backend.values():
            for call in calls:
                call.media.cannot_bind(stream)

    def snapshot(self) -> dict[str, int]:
        """How many calls are on each backend."""
        return {name: len(calls) for name, calls in self._by_backend.items()}


class Verification(Silent):
    """Owner of a question whether a dialog is still there."""

    __slots__ = ("_leg",)

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Only 481 says that it is gone; anything else may be about the question."""
        if response.status != 481:
            return []
        return self._leg.bridge.gone(self._leg, "the backend was restarted", now)


def _thing(call: Call) -> Thing:
    if call.answered:
        return Thing.CALL_ANSWERED
    if call.callee.side is Side.CLIENT:
        return Thing.CALL_RINGING_TO_PHONE
    return Thing.CALL_PENDING if call.state is CallState.CALLING else Thing.CALL_RINGING_FROM_PHONE
