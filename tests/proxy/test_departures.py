"""When a backend that was removed is let go of; with calls: test_reconfiguration.py."""

from __future__ import annotations

from haproxy_voip.cluster.pool import Pool
from haproxy_voip.core.deadlines import Deadlines
from haproxy_voip.proxy.departures import FAREWELL_SECONDS, LOOK_SECONDS, Departures
from haproxy_voip.proxy.shared import Output, Wakeable


class Scene:
    """Alpha is active; beta was removed, and carries and is busy as the test says."""

    def __init__(self) -> None:
        self.alarms: Deadlines[Wakeable] = Deadlines()
        self.pool = Pool(["alpha", "beta"], None, 0.0)
        self.pool.up("alpha", 0.0)
        self.carries, self.busy = True, True
        self.dropped: list[str] = []
        self.departures = Departures(
            self.alarms, self.pool, lambda name: self.carries, lambda name: self.busy, self._drop
        )
        self.departures.watch(0.0)
        assert self.alarms.next is None  # nobody leaves
        self.pool.arrange(["alpha"], None, 0.0)
        self.departures.watch(0.0)
        self.now = 0.0

    def _drop(self, name: str, now: float) -> list[Output]:
        self.pool.drop(name)
        self.dropped.append(name)
        return []

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.alarms.next) is not None and at <= end:
            self.now = at
            assert self.alarms.pop(at) is self.departures
            self.departures.wake(at)
        self.now = end


def test_it_goes_when_nothing_is_there_and_nothing_is_to_be_said() -> None:
    scene = Scene()
    scene.pass_time(3600.0)
    scene.carries = False
    scene.pass_time(LOOK_SECONDS)
    assert scene.dropped == []
    scene.busy = False
    scene.pass_time(LOOK_SECONDS)
    assert scene.dropped == ["beta"] and scene.alarms.next is None


def test_one_that_takes_nothing_back_is_waited_for_so_long_only() -> None:
    scene = Scene()
    scene.carries = False
    scene.pass_time(FAREWELL_SECONDS)
    assert scene.dropped == []
    scene.pass_time(2 * LOOK_SECONDS)
    assert scene.dropped == ["beta"]


def test_one_that_is_taken_back_does_not_go() -> None:
    scene = Scene()
    scene.pool.arrange(["alpha", "beta"], None, 0.0)
    scene.carries = scene.busy = False
    scene.pass_time(60.0)
    assert scene.dropped == [] and scene.alarms.next is None
