"""Which call a backend means when it calls a phone that rings or talks already.

After a failover a caller's INVITE is sent to the next backend, and that backend calls the callee. Its INVITE is joined
to the phone's standing leg only if it can mean nothing else: exactly one call of that caller is being set up at that
backend, that one is not new, and one leg at that phone fits it. Everything else is a new call.

Names are proof where a phone bears them, which has shown who it is. A carrier's caller may show any number, also that
of somebody whose call is being built anew: while it is there, whoever else bears that number cannot be told by it. And
what a carrier is shown is often one number for all: over a trunk the caller is told by its partner, or by the number.

A call that was answered before never rings anew: somebody would hear it ring while they talk, or pick up a call that
is somebody else's by now. What the backend does for such a call and cannot be told is refused. So are the other phones
of a group or queue, which it calls beside the one that has answered long ago.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.topology import TOKEN_HEADER
from haproxy_voip.proxy.withdrawn import Withdrawn
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.sdp import codecs_cover, codecs_equal, locate_sdp, parse

if TYPE_CHECKING:
    from haproxy_voip.proxy.call import Call
    from haproxy_voip.proxy.caller import Incoming
    from haproxy_voip.proxy.invitation import Invitation

# RFC 3323 section 4.1.1.3, and what servers write instead: such callers cannot be told from each other.
HIDDEN = frozenset({"anonymous", "unknown", "unavailable", "restricted", "private", "withheld"})

# Of a telephone number, from its end: what comes before is added and taken off by dial plans.
TELLING_DIGITS = 7

# A backend calls the phones of a group one after the other, and cancels the rest when one has answered.
GROUP_SECONDS = 1.0


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
        self._stranded: dict[Call, None] = {}
        self.withdrawn = Withdrawn()
        self._found: dict[Call, float] = {}  # both its ends are at a backend again, and since when
        self._rebuilt: dict[Call, None] = {}  # as far as is known

    def wait(self, call: Call) -> None:
        """Its backend died; another one is to carry it."""
        self._waiting[call] = None
        self._stranded.pop(call, None)
        self.rebuild(call)

    def rebuild(self, call: Call) -> None:
        """Another backend is to carry it, be there a phone that waits for that or not."""
        self._rebuilt[call] = None

    def strand(self, call: Call) -> None:
        """It goes on without a backend. One that was asked may yet call the phone for it, too late."""
        self.settle(call)
        self._stranded[call] = None

    def settle(self, call: Call) -> None:
        """It waits no more."""
        self._waiting.pop(call, None)
        self._stranded.pop(call, None)
        self._found.pop(call, None)

    def forget(self, call: Call) -> None:
        """It ended."""
        self.settle(call)
        self._rebuilt.pop(call, None)

    def found(self, call: Call, now: float) -> None:
        """A backend has both ends of this conversation again."""
        self._found[call] = now

    def none(self, now: float) -> bool:
        """Whether all calls are where they began, so that every INVITE is a new one. Told without looking at each."""
        if self._rebuilt:
            self._rebuilt = {call: None for call in self._rebuilt if call.rebuilding is not None}
        return not (self._waiting or self._stranded or self._found or self._rebuilt or self.withdrawn.pending(now))

    def read(self, incoming: Incoming, callee: Invitation, here: Iterable[Call], now: float) -> Claim:
        """The meaning of an INVITE for this phone by the backend that carries the calls `here`."""
        request = incoming.request
        caller = request.from_.uri.user or "anonymous"
        here = list(here)
        origins = self._origins(incoming, callee, here, now)
        if not origins and callee.trunk is None and self._comes_late(caller, callee, now):
            return Claim(refuse=True)
        if self._may_be_withdrawn(origins, incoming, callee.backend, now):
            return Claim(refuse=True)
        at_phone = [call for call in self._waiting if call.callee.reaches(callee)]
        named = [call for call in at_phone if call.caller_name == caller]
        if not origins:
            meant = [] if self._borne_by_others(caller, here, now) else _rung_by(caller, callee, named, here)
        elif len(origins) == 1:
            meant = self._other_ends(origins[0], at_phone, named)
        else:
            meant = []
        fitting = [call for call in meant if _fits(call, incoming)]
        if len(fitting) == 1:
            return Claim(call=fitting[0])
        if len(meant) == 1 and meant[0].unclaimed is not None:
            return Claim(replaced=meant[0])
        return Claim(refuse=_disturbs(origins, named, callee.name))

    def _origins(self, incoming: Incoming, callee: Invitation, here: list[Call], now: float) -> list[Call]:
        """The calls for which the backend may be calling: of several, none is meant for certain."""
        caller, token = incoming.request.from_.uri.user or "anonymous", incoming.request.get(TOKEN_HEADER)
        set_up = [call for call in here if call.callee.side is Side.BACKEND and _is_set_up(call)]
        told = [call for call in set_up if token is not None and call.token == token]
        named = [call for call in set_up if call.caller_name == caller]
        if told:
            return told
        if not named and callee.trunk is not None:
            return self._behind(caller, callee, set_up)
        if not named or not any(call.trunk is not None for call in here):
            return named
        return set_up if caller.lower() in HIDDEN else self._borne_by_others(caller, here, now) or named

    def _borne_by_others(self, caller: str, here: list[Call], now: float) -> list[Call]:
        """The calls of this name, if a carrier's caller bears it and one of them is not known from before."""
        bearers = [call for call in here if call.callee.side is Side.BACKEND and call.caller_name == caller]
        new = [one for one in bearers if one.rebuilding is None and now >= self._found.get(one, 0.0) + GROUP_SECONDS]
        return bearers if new and len(bearers) > 1 and any(call.trunk is not None for call in bearers) else []

    def _behind(self, caller: str, callee: Invitation, set_up: list[Call]) -> list[Call]:
        """The call whose known partner is where a trunk leads to, if nobody else can be meant.

        Backends show a carrier their own number, whoever calls.
        """
        there = [call for call in self._waiting if call.callee.reaches(callee) and call.caller_name == caller]
        ends = {call: _other_end(call) for call in set_up if call.rebuilding is not None}
        fitting = [call for call, end in ends.items() if end in there]
        unknown = [call for call in set_up if ends.get(call) is None]
        return fitting if len(fitting) == 1 and not unknown else []

    def _comes_late(self, caller: str, callee: Invitation, now: float) -> bool:
        """Whether this phone goes on without a backend, or its backend has just put this caller through to whom they
        talk to, and this is another phone."""
        if any(call.caller_name == caller and call.callee.reaches(callee) for call in self._stranded):
            return True
        self._found = {call: at for call, at in self._found.items() if now < at + GROUP_SECONDS}
        here = [call for call in self._found if (call.caller_name, call.backend) == (caller, callee.backend)]
        return bool(here) and not any(call.callee.reaches(callee) for call in here)

    def _may_be_withdrawn(self, origins: list[Call], incoming: Incoming, backend: str, now: float) -> bool:
        """Whether the backend may mean a call that was hung up, rather than one that goes on."""
        caller, token = incoming.request.from_.uri.user or "anonymous", incoming.request.get(TOKEN_HEADER)
        if not origins:
            return self.withdrawn.any(caller, backend, now, again=True)
        told = any(call.token == token for call in origins)
        rebuilt = any(call.rebuilding is not None for call in origins)
        return rebuilt and not told and self.withdrawn.any(caller, backend, now)

    def _other_ends(self, origin: Call, at_phone: list[Call], named: list[Call]) -> list[Call]:
        """The legs at this phone that may be the other end of this one call."""
        if origin.rebuilding is None:  # a call that was never elsewhere rings nobody yet
            return self._sought_by(origin, named) if _moved(origin) else []
        other_end = _other_end(origin)
        if other_end is not None:
            return [call for call in at_phone if call is other_end]
        return [call for call in self._unpaired(origin) if call in named]

    def _sought_by(self, origin: Call, named: list[Call]) -> list[Call]:
        """The legs at this phone that this caller, who was not answered yet, may wait for.

        One that was answered in the moment its backend died as well, if that caller asked for this very phone and may
        talk to nobody: the backend had taken the answer, and did not come to pass it on.
        """
        sought = [call for call in named if _sought(call)]
        unpaired = [call for call in self._waiting if call.partner is None and call.caller_name == origin.caller_name]
        if sought or any(call.callee.side is Side.BACKEND for call in unpaired):
            return sought
        return [call for call in named if call in unpaired and _just_answered(call) and _asked_for(origin, call)]

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


def _rung_by(caller: str, callee: Invitation, named: list[Call], here: list[Call]) -> list[Call]:
    """The legs that may be meant by an INVITE of this name when no such caller is being put through.

    Of callers of one name, one may talk to this phone already: then it may as well be that one's call. And a hidden
    caller may be anybody, unless the backend puts one call through and no other.
    """
    if not all(_sought(call) for call in named):
        return []
    set_up = [call for call in here if call.callee.side is Side.BACKEND and _is_set_up(call)]
    if callee.trunk is not None:
        set_up = [call for call in set_up if _same_number(call.callee.name, callee.name)] or set_up
        return named if [_moved(call) for call in set_up] == [True] else []
    if caller.lower() in HIDDEN and [_moved(call) for call in set_up] != [True]:
        return []
    return named


def _moved(call: Call) -> bool:
    """Whether it was elsewhere before it was answered."""
    return call.rebuilding is None and len(call.tried) > 1


def _same_number(dialled: str, sent: str) -> bool:
    """Whether a backend may have made the one number of the other, by a prefix more or less."""
    digits = [re.sub(r"[^0-9]", "", number.partition(";")[0])[-TELLING_DIGITS:] for number in (dialled, sent)]
    return len(digits[0]) > 2 and (digits[0].endswith(digits[1]) or digits[1].endswith(digits[0]))


def _is_set_up(call: Call) -> bool:
    """Whether the backend works at it."""
    asked = call.attempt is not None and not call.attempt.over
    return asked or (call.rebuilding is not None and call.rebuilding.at_work)


def _other_end(call: Call) -> Call | None:
    """The other call of its conversation, of one that is being rebuilt, if that is known."""
    return call.partner if call.relocation is None else call.relocation.partner


def _fits(call: Call, incoming: Incoming) -> bool:
    """Whether the phone's standing answer is one to this INVITE; if it talks, it may as well make the offer."""
    if call.rebuilding is not None and not incoming.request.body:
        return True
    waiting = call.rebuilding or call.unclaimed
    former = None if waiting is None else waiting.offered
    try:
        found = locate_sdp(incoming.request.get("content-type"), incoming.request.body)
        if found is None or former is None:
            return found is None and former is None
        offer = parse(incoming.request.body[found])
    except MessageError:
        return False
    return codecs_equal(former, offer) if call.rebuilding is None else codecs_cover(offer, former)


def _disturbs(origins: list[Call], named: list[Call], phone: str) -> bool:
    """Whether to let it ring would bother somebody with a call that goes on elsewhere."""
    if any(_moved(call) and call.callee.name == phone for call in origins):
        return False  # that caller still waits for this very phone
    talking = [call for call in named if call.answered]
    if not origins:
        # Under a name of the backend's making, perhaps, the caller they talk to.
        return any(_other_end(call) is not None for call in talking)
    again = [call.rebuilding is not None for call in origins]
    return all(again) or (any(again) and bool(named) and len(talking) == len(named))


def _just_answered(call: Call) -> bool:
    """Whether its backend died before it can have told the caller for certain."""
    return call.survival is not None and call.survival.just_answered


def _asked_for(origin: Call, call: Call) -> bool:
    return origin.callee.name == call.callee.name


def _sought(call: Call) -> bool:
    """Whether the caller still waits for this phone: it rings, or its answer was lost with the backend."""
    return not call.answered or (call.survival is not None and call.survival.unheard)
