"""Which call a backend means when it calls a phone that rings or talks already.

After a failover a caller's INVITE is sent to the next backend, and that backend calls the callee. Its INVITE is joined
to the phone's standing leg only if it can mean nothing else: exactly one call of that caller is being set up at that
backend, that one is not new, and one leg at that phone fits it. Everything else is a new call, or is refused where
somebody would hear it ring while they talk.
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
    from haproxy_voip.sip.sdp import Description


@dataclass(slots=True)
class Claim:
    """What an INVITE for a phone means. At most one of these is set."""

    call: Call | None = None  # this one, which the phone has already
    replaced: Call | None = None  # this one, but in other terms: it must be rung anew
    refuse: bool = False  # there is doubt, and the phone is talking


class Claims:
    """The calls at phones that no backend carries, in the order they came there."""

    def __init__(self) -> None:
        self._waiting: dict[Call, None] = {}

    def wait(self, call: Call) -> None:
        """Its backend died; another one is to call for it."""
        self._waiting[call] = None

    def settle(self, call: Call) -> None:
        """It waits no more."""
        self._waiting.pop(call, None)

    def read(self, incoming: Incoming, callee: Invitation, here: Iterable[Call]) -> Claim:
        """The meaning of an INVITE for this phone by the backend that carries the calls `here`."""
        caller = incoming.request.from_.uri.user or "anonymous"
        at_phone = [
            call for call in self._waiting if call.callee.binding is callee.binding and call.caller_name == caller
        ]
        if not at_phone:
            return Claim()
        origins = _being_set_up(caller, incoming.request.get(TOKEN_HEADER), here)
        meant = _fitting(origins[0], at_phone) if len(origins) == 1 else _of_unknown_origin(origins, at_phone)
        fitting = [call for call in meant if call.media.same_offer(incoming.request, _offered(call))]
        if len(fitting) == 1:
            return Claim(call=fitting[0])
        if len(meant) == 1 and meant[0].unclaimed is not None:
            return Claim(replaced=meant[0])
        return Claim(refuse=any(call.survival is not None for call in origins) and all(c.answered for c in at_phone))


def _being_set_up(caller: str, token: str | None, here: Iterable[Call]) -> list[Call]:
    """The calls of this caller that the backend may be calling somebody for now; with the token, that one."""
    calls = [
        call
        for call in here
        if call.callee.side is Side.BACKEND
        and call.caller_name == caller
        and call.attempt is not None
        and not call.attempt.over
    ]
    named = [call for call in calls if token is not None and call.token == token]
    return named or calls


def _fitting(origin: Call, at_phone: list[Call]) -> list[Call]:
    """The legs at the phone that may be the other end of this one call."""
    if origin.survival is None:
        moved = len(origin.tried) > 1  # a call that was never elsewhere rings nobody yet
        return [call for call in at_phone if not call.answered] if moved else []
    if origin.partner is not None:
        return [call for call in at_phone if call is origin.partner]
    return [call for call in at_phone if call.answered and call.partner is None]


def _of_unknown_origin(origins: list[Call], at_phone: list[Call]) -> list[Call]:
    """None of our clients calls: it is the backend's own, as from a carrier or a queue. It may join what rings."""
    return [] if origins else [call for call in at_phone if not call.answered]


def _offered(call: Call) -> Description | None:
    """What the dead backend had offered the phone."""
    waiting = call.survival or call.unclaimed
    return None if waiting is None else waiting.offered
