"""Whether the storms would notice: with one rule broken, the invariants must not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from haproxy_voip.proxy import calls
from haproxy_voip.proxy.call import Call
from haproxy_voip.proxy.caller import Incoming
from haproxy_voip.proxy.claims import Claim, Claims
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.media import CallMedia
from haproxy_voip.proxy.pairing import Evidence, Heard
from haproxy_voip.proxy.shared import Output
from haproxy_voip.rtp.fingerprint import Fingerprints
from tests.simulation import storms

pytestmark = pytest.mark.simulation

# All are noticed in the first ten.
HISTORIES = 40


def whoever_is_there(found: Iterable[Call], heard: Heard) -> Evidence:
    """Those who called, and those who were called, in the order they came."""
    answered = [call for call in found if call.answered_at is not None]
    callers = [call for call in answered if call.callee.side is Side.BACKEND]
    callees = [call for call in answered if call.callee.side is Side.CLIENT]
    pairs = list(zip(callers, callees, strict=False))
    return dict(pairs) | {callee: caller for caller, callee in pairs}


def whoever_has_the_same_caller(found: Iterable[Call], heard: Heard) -> Evidence:
    """Who called whom, and neither when nor what else."""
    answered = [call for call in found if call.answered_at is not None]
    pairs: Evidence = {}
    for one in answered:
        for other in answered:
            apart = one.callee.side is Side.BACKEND and other.callee.side is Side.CLIENT
            if apart and one.caller_name == other.caller_name and not {one, other} & pairs.keys():
                pairs |= {one: other, other: one}
    return pairs


def whoever_waits_first(self: Claims, incoming: Incoming, callee: Invitation, *rest: object) -> Claim:
    """A backend calls a phone: it means the call that waits there for longest."""
    at_phone = [call for call in self._waiting if call.callee.binding is callee.binding]
    return Claim(call=at_phone[0] if at_phone else None)


def whoever_spoke_next(self: Fingerprints, stream: int) -> int | None:
    """Two streams that began one after the other."""
    return stream ^ 1


def nothing_is_given_back(self: CallMedia) -> list[Output]:
    """The call is over and its ports and streams stay."""
    return []


def survivors_are_hung_up(self: Call, *arguments: object) -> list[Output]:
    """As others do when a server dies."""
    return self.hang_up("its backend died", arguments[-1])  # type: ignore[arg-type]


JOINED = "never were one|a stranger|both were others'|is heard by|hears .* now"
LEFT = "are left"
LOST = "did not survive"


@pytest.mark.parametrize(
    ("owner", "rule", "broken", "noticed"),
    [
        (calls, "conversations", whoever_is_there, JOINED),
        (calls, "conversations", whoever_has_the_same_caller, JOINED),
        (Fingerprints, "partner_of", whoever_spoke_next, f"{JOINED}|{LOST}"),
        (Claims, "read", whoever_waits_first, JOINED),
        (CallMedia, "release", nothing_is_given_back, LEFT),
        (Call, "survive", survivors_are_hung_up, LOST),
    ],
)
def test_a_broken_rule_is_noticed(
    owner: object, rule: str, broken: Callable[..., object], noticed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, rule, broken)
    with pytest.raises(AssertionError, match=noticed):
        histories()


def histories() -> None:
    """Until something is noticed."""
    for seed in range(1, HISTORIES):
        storms.run(seed)
