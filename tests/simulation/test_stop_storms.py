"""Histories in which the proxy is asked to end in the middle of a storm, and another begins where it was.

Besides what must be so in every storm: nobody is taken while it stops, and whoever asks is told when to come again;
calls may go on for as long as `proxy.stop_after` says, and then both sides hear of the end, or talk on where the kernel
relays them; it is over in time. Nobody is forgotten by the next one: everybody is registered there, as they refresh,
can call as soon as they try, and be called as soon as they are registered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from haproxy_voip.proxy.admission import Admission
from haproxy_voip.proxy.shared import Output
from haproxy_voip.proxy.stopping import Stopping
from haproxy_voip.proxy.unclaimed import Unclaimed
from tests.simulation import storms
from tests.simulation.stop_storms import StopStorm

pytestmark = [pytest.mark.simulation, pytest.mark.usefixtures("no_collector")]

HISTORIES = 48
AT_ONCE = 12


@pytest.mark.parametrize("first", range(1, HISTORIES, AT_ONCE))
def test_what_operators_are_told_of_stopping_holds_in_these_histories(first: int) -> None:
    found: Counter[str] = Counter()
    for seed in range(first, first + AT_ONCE):
        found += storms.run(seed, StopStorm)
    assert min(found[what] for what in ("200", "cut", "not taken", "outlived", "too early")) > 0


def everybody_is_let_in(self: Admission, request: object) -> None:
    """As if it did not stop."""


def nobody_is_hung_up(self: Stopping, now: float) -> list[Output]:
    """When their time is over."""
    return self._leave(now)


def the_kernel_is_forgotten(self: Stopping, now: float) -> list[Output]:
    """All calls are hung up, also those that could talk on."""
    self._word.media_stay = False
    return end_calls(self, now)


def nothing_is_waited_for(self: Stopping, now: float) -> list[Output]:
    """Calls are ended with the signal."""
    self._until = now
    return wake(self, now)


def it_never_ends(self: Stopping, now: float) -> list[Output]:
    """Whatever it waits for."""
    return []


def an_answer_for_nobody_is_forgotten(self: Unclaimed, status: int, now: float) -> list[Output]:
    """The phone that gave it is not hung up."""
    return []


end_calls, wake = Stopping._end_calls, Stopping.wake


@pytest.mark.parametrize(
    ("owner", "rule", "broken", "noticed"),
    [
        (Admission, "admit", everybody_is_let_in, "while the proxy stops|REGISTER is answered"),
        (Stopping, "_end_calls", nobody_is_hung_up, "calls are left"),
        (Stopping, "_end_calls", the_kernel_is_forgotten, "that the kernel relays"),
        (Stopping, "wake", nothing_is_waited_for, "ended too early"),
        (Stopping, "_leave", it_never_ends, "does not end"),
        (Unclaimed, "refuse", an_answer_for_nobody_is_forgotten, "believes in a call|was not told"),
    ],
)
def test_a_broken_rule_is_noticed(
    owner: type, rule: str, broken: Callable[..., object], noticed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, rule, broken)
    with pytest.raises(AssertionError, match=noticed):
        histories()


def histories() -> None:
    """Until something is noticed."""
    for seed in range(1, 13):
        storms.run(seed, StopStorm)
