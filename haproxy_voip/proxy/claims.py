"""Which call a backend means when it calls a phone that rings or talks already.

After a failover a caller's INVITE is sent to the next backend, and that backend calls the callee. Its INVITE is joined
to the phone's standing leg only if it can mean nothing else: exactly one call of that caller is being set up at that
backend, that one is not new, and one leg at that phone fits it. Everything else is a new call.

A call that was answered before never rings anew: somebody would hear it ring while they talk, or pick up a call that
is somebody else's by now. What the backend does for such a call and cannot be told is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.topology import TOKEN_HEADER

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.caller import Incoming
    from haproxy_voip.proxy.invitation import Invitation


@dataclass(slots=True)
class Claim:
    """What an INVITE for a phone means. At most one of these is set."""

    call: Call | None = None  # this one, which the phone has already
    replaced: Call | None = None  # this one, but in other terms: it must be rung anew
    refuse: bool = False  # there is doubt, and the phone is talking


class Claims:
    """The calls that no backend carries, in the order they came there: at phones, and from clients that talk."""

    def __init__(self) -> None:
        self._waiting: dict[Call, None] = {}

    def wait(self, call: Call) -> None:
        """Its backend died; another one is to carry it."""
        self._waiting[call] = None

    def settle(self, call: Call) -> None:
        """It waits no more."""
        self._waiting.pop(call, None)

    def read(self, incoming: Incoming, callee: Invitation, here: Iterable[Call]) -> Claim:
        """The meaning of an INVITE for this phone by the backend that carries the calls `here`."""
        request = incoming.request
        caller = request.from_.uri.user or "anonymous"
        origins = _being_set_up(caller, request.get(TOKEN_HEADER), here)
        at_phone = [call for call in self._waiting if call.callee.binding is callee.binding]
        named = [call for call in at_phone if call.caller_name == caller]
        if not origins:
            meant = [call for call in named if _sought(call)]
        elif len(origins) == 1:
            meant = self._other_ends(origins[0], at_phone, named)
        else:
            meant = []
        fitting = [call for call in meant if _fits(call, incoming)]
        if len(fitting) == 1:
            return Claim(call=fitting[0])
        if len(meant) == 1 and meant[0].unclaimed is not None:
            return Claim(replaced=meant[0])
        return Claim(refuse=_disturbs(origins, named))

    def _other_ends(self, origin: Call, at_phone: list[Call], named: list[Call]) -> list[Call]:
        """The legs at this phone that may be the other end of this one call."""
        if origin.survival is None:
            moved = len(origin.tried) > 1  # a call that was never elsewhere rings nobody yet
            return [call for call in named if _sought(call)] if moved else []
        if origin.partner is not None:
            return [call for call in at_phone if call is origin.partner]
        return [call for call in self._unpaired(origin) if call in named]

    def _unpaired(self, origin: Call) -> list[Call]:
        """The legs that this caller, who is known to talk to somebody but not to whom, may talk to.

        With two calls or two such legs anybody might be meant; and who is in doubt once stays so, or the last one
        would be taken for certain when the others have ended.
        """
        unpaired = [call for call in self._waiting if call.partner is None and call.caller_name == origin.caller_name]
        rivals = [call for call in unpaired if call.callee.side is Side.BACKEND]
        legs = [call for call in unpaired if call.callee.side is Side.CLIENT and call.answered]
        if len(rivals) == 1 and len(legs) <= 1:
            return legs
        for call in legs:
            self.settle(call)
        return []


def _being_set_up(caller: str, token: str | None, here: Iterable[Call]) -> list[Call]:
    """The calls that the backend may be calling somebody for now; with the token, that one."""
    calls = [call for call in here if call.callee.side is Side.BACKEND and _is_set_up(call)]
    named = [call for call in calls if token is not None and call.token == token]
    return named or [call for call in calls if call.caller_name == caller]


def _is_set_up(call: Call) -> bool:
    """Whether the backend works at it: it may take a call, as a queue does, before it calls whom the call is for."""
    asked = call.attempt is not None and not call.attempt.over
    return asked or (call.survival is not None and call.survival.carried)


def _fits(call: Call, incoming: Incoming) -> bool:
    """Whether the phone's standing answer is one to this INVITE; if it talks, it may as well make the offer."""
    if call.survival is not None and not incoming.request.body:
        return True
    waiting = call.survival or call.unclaimed
    return call.media.same_offer(incoming.request, None if waiting is None else waiting.offered)


def _disturbs(origins: list[Call], named: list[Call]) -> bool:
    """Whether to let it ring would bother somebody with a call that goes on elsewhere."""
    talking = [call for call in named if call.answered]
    if not origins:
        # Under a name of the backend's making, perhaps, the caller they talk to.
        return any(call.partner is not None for call in talking)
    again = [call.survival is not None for call in origins]
    return all(again) or (any(again) and bool(named) and len(talking) == len(named))


def _sought(call: Call) -> bool:
    """Whether the caller still waits for this phone: it rings, or its answer was lost with the backend."""
    return not call.answered or (call.survival is not None and call.survival.unheard)
