"""A mistake of ours costs one thing."""

from __future__ import annotations

from haproxy_voip.core.effects import Send
from haproxy_voip.proxy.facts import SessionFailed
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.shared import Output
from tests.proxy.test_node import STRANGER

GOODBYE = Send(STRANGER, b"goodbye")


class Thing:
    """Something with a session."""

    token = "t0k3n"

    def __init__(self, *, ends: bool = True) -> None:
        self.ends = ends

    def end(self, reason: str, now: float) -> list[Output]:
        assert self.ends, "not even that"
        return [GOODBYE]


def works(thing: object, now: float) -> list[Output]:
    return [GOODBYE]


def fails(thing: object, now: float) -> list[Output]:
    raise KeyError(thing if isinstance(thing, str) else "key")


def test_what_goes_well_passes_through() -> None:
    assert apart(works, Thing(), 0.0) == [GOODBYE]


def test_a_mistake_is_told_with_its_place_and_ends_the_session() -> None:
    fact, goodbye = apart(fails, Thing(), 0.0)
    assert isinstance(fact, SessionFailed) and goodbye == GOODBYE
    assert (fact.what, fact.error) == ("Thing t0k3n", "KeyError: 'key'")
    assert fact.where.startswith("tests.proxy.test_isolation:") and fact.where.endswith(" fails")
    assert "Thing t0k3n" in str(fact) and "everything else goes on" in str(fact)


def test_what_has_no_session_is_only_told() -> None:
    [fact] = apart(fails, "alpha", 0.0)
    assert isinstance(fact, SessionFailed) and fact.what == "alpha"


def test_another_way_to_end_it_can_be_given() -> None:
    assert apart(fails, "alpha", 0.0, works)[1:] == [GOODBYE]


def test_a_session_that_cannot_be_ended_is_told_as_well() -> None:
    first, second = apart(fails, Thing(ends=False), 0.0)
    assert isinstance(first, SessionFailed) and isinstance(second, SessionFailed)
    assert "not even that" in second.error
