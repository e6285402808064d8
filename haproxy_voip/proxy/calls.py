"""Every call of the node: where new ones come in, and what becomes of them when a backend dies."""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.cluster.decisions import Decision, Thing, decide
from haproxy_voip.proxy import farewell
from haproxy_voip.proxy.call import Call, CallState
from haproxy_voip.proxy.caller import Incoming
from haproxy_voip.proxy.facts import BackendRemembered
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.moves import Moves
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.errors import MessageError

# Dialogs a dead backend may still believe in; told to end when it returns. More are dropped, oldest first.
MAX_REMEMBERED = 1000

# Tells that something went wrong at a backend which says little alone: (backend, reason, now).
Doubt = Callable[[str, str, float], list[Output]]


class Calls:
    """The calls by backend, in the order they came."""

    def __init__(self, shared: Shared, doubt: Doubt, eligible: Callable[[], list[str]]) -> None:
        self._shared = shared
        self.doubt = doubt
        self._eligible = eligible
        self._by_backend: dict[str, dict[Call, None]] = {backend.name: {} for backend in shared.config.backends}
        self._unclaimed: dict[Call, None] = {}
        self._remembered: dict[str, list[Leg]] = {}
        self.count = 0

    # -- coming in ----------------------------------------------------------------------------------

    def invite(self, incoming: Incoming, callee: Invitation, now: float) -> list[Output]:
        """A new call, or a backend's claim to one whose phone rings already. Raises MessageError."""
        if callee.side is Side.CLIENT and (call := self._claimed_by(incoming, callee)) is not None:
            del self._unclaimed[call]
            return call.claim(incoming, callee.backend, now)
        if self.count >= self._shared.config.limits.max_calls:
            raise MessageError("limits.max_calls is reached", status=503)
        call = Call(self._shared, self, incoming, callee, now)
        self.count += 1
        self._by_backend[call.backend][call] = None
        return call.start(now)

    def _claimed_by(self, incoming: Incoming, callee: Invitation) -> Call | None:
        """The call whose phone rings for the same caller and offer. More than one is doubt, and doubt joins nothing."""
        caller = incoming.request.from_.uri.user or "anonymous"
        found = [
            call
            for call in self._unclaimed
            if call.callee.binding is callee.binding
            and call.caller_user == caller
            and call.media.same_offer(incoming.request, call.offered)
        ]
        return found[0] if len(found) == 1 else None

    # -- what calls ask -----------------------------------------------------------------------------

    def next_backend(self, call: Call) -> str | None:
        """Where to call next: usable, and not asked before for this call."""
        return next((name for name in self._eligible() if name not in call.tried), None)

    def rehome(self, call: Call, backend: str) -> None:
        """The call is on another backend now."""
        self._by_backend[call.backend].pop(call, None)
        call.backend = backend
        self._by_backend[backend][call] = None

    def forget(self, call: Call) -> None:
        """The call ended."""
        if self._by_backend[call.backend].pop(call, call) is None:
            self.count -= 1
        self._unclaimed.pop(call, None)

    # -- failover -----------------------------------------------------------------------------------

    def evacuate(self, backend: str, moves: Moves, now: float) -> list[Output]:
        """Everything on this backend moves or ends; `moves` is told which."""
        outputs: list[Output] = []
        for call in list(self._by_backend[backend]):
            outputs += self._carry_out(call, moves, now)
        return outputs

    def _carry_out(self, call: Call, moves: Moves, now: float) -> list[Output]:
        thing = _thing(call)
        successor = self.next_backend(call)
        match decide(thing, another=successor is not None):
            case Decision.INVITE_AGAIN:
                assert successor is not None
                moves.move("calls being set up")
                return call.move(successor, f"{call.backend} is down", now)
            case Decision.KEEP_RINGING:
                moves.move("phones ringing")
                self._unclaimed[call] = None
                call.orphan(now)
                return []
            case Decision.HANG_UP:
                moves.lose("answered calls")
                self._remember(call)
                return call.hang_up(f"{call.backend} is down", now, but=Side.BACKEND)
            case Decision.CANCEL:
                moves.lose("phones ringing, no other backend")
                return call.hang_up(f"{call.backend} is down", now, but=Side.BACKEND)
        moves.lose("calls being set up, no other backend")
        return call.refuse(503, f"{call.backend} is down", now)

    def _remember(self, call: Call) -> None:
        """The dead backend may come back believing in this dialog."""
        for leg in call.legs:
            if leg.side is Side.BACKEND:
                known = self._remembered.setdefault(call.backend, [])
                known.append(leg)
                del known[:-MAX_REMEMBERED]

    def returned(self, backend: str, now: float) -> list[Output]:
        """The backend is up again: end the dialogs that ended without it."""
        legs = self._remembered.pop(backend, [])
        if not legs:
            return []
        outputs: list[Output] = [BackendRemembered(backend, len(legs))]
        for leg in legs:
            leg.flow, opening = self._shared.network.to_backend(backend)
            outputs += opening
            outputs += farewell.bye(self._shared, leg, [], now)
        return outputs

    def snapshot(self) -> dict[str, int]:
        """How many calls are on each backend."""
        return {name: len(calls) for name, calls in self._by_backend.items()}


def _thing(call: Call) -> Thing:
    if call.answered:
        return Thing.CALL_ANSWERED
    if call.callee.side is Side.CLIENT:
        return Thing.CALL_RINGING_TO_PHONE
    return Thing.CALL_PENDING if call.state is CallState.CALLING else Thing.CALL_RINGING_FROM_PHONE
