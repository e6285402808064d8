"""Health as the node sees it."""

from __future__ import annotations

from haproxy_voip.cluster.canary import STIR_SECONDS
from haproxy_voip.cluster.detector import BackendDown, BackendUp
from haproxy_voip.cluster.pool import Admin
from haproxy_voip.core.chance import Chance
from haproxy_voip.proxy.backends import Backends, Canary, Judgement, Returned, Verdict
from haproxy_voip.proxy.effects import CloseCanary, LookForReply, OpenCanary, Probe, StirCanary
from haproxy_voip.proxy.facts import BackendRestarted
from haproxy_voip.proxy.network import Network
from haproxy_voip.sip.message import Request, parse, response_to
from tests.proxy.stage import config


class Watched:
    """Backends that answer probes, or not."""

    def __init__(self) -> None:
        settings = config()
        self.now = 0.0
        self.backends = Backends(settings, Network(settings), Chance.seeded(1), 0.0)
        self.silent: set[str] = set()
        self.judged: list[Judgement] = []

    def run(self, until: float) -> None:
        while (at := self.backends.deadline) is not None and at <= until:
            self.now = max(at, self.now)
            self.take(self.backends.wake(self.now))
        self.now = until

    def take(self, judged: list[Judgement]) -> None:
        for item in judged:
            self.judged.append(item)
            if isinstance(item, Probe) and item.backend not in self.silent:
                options = parse(item.data)
                assert isinstance(options, Request)
                answer = response_to(options, 404, None, "t").encode()
                self.take(self.backends.answered(item.backend, answer, self.now))
            elif isinstance(item, LookForReply):
                self.take(self.backends.looked(item.backend, item.number, self.now))
            elif isinstance(item, OpenCanary):
                self.take(self.backends.canary_opened(item.backend, self.now))

    def told(self, kind: type) -> list[Judgement]:
        found = [item for item in self.judged if isinstance(item, kind)]
        self.judged.clear()
        return found


def test_any_answer_to_a_probe_means_alive_and_the_first_is_active() -> None:
    watched = Watched()
    watched.run(0.5)
    assert len(watched.told(BackendUp)) == 3
    assert watched.backends.pool.active == "alpha"
    assert watched.backends.eligible == ["alpha", "beta", "charlie"]


def test_a_silent_backend_is_left() -> None:
    watched = Watched()
    watched.run(0.5)
    watched.silent.add("alpha")
    watched.judged.clear()
    watched.run(1.0)
    kinds = [type(item) for item in watched.judged if isinstance(item, BackendDown | CloseCanary | Verdict)]
    assert kinds == [BackendDown, CloseCanary, Verdict]
    assert watched.backends.eligible == ["beta", "charlie"]


def test_the_next_one_gets_more_time_while_everybody_comes_to_it() -> None:
    watched = Watched()
    watched.run(0.5)
    before = {name: one.probe_timeout for name, one in watched.backends.detectors.items()}
    watched.silent.add("alpha")
    watched.run(1.0)
    after = {name: one.probe_timeout for name, one in watched.backends.detectors.items()}
    assert after["beta"] > 2 * before["beta"] and after["charlie"] == before["charlie"]


def test_one_that_returns_gets_more_time_as_well() -> None:
    watched = Watched()
    watched.run(0.5)
    watched.silent.add("charlie")
    watched.run(1.0)
    watched.silent.clear()
    watched.run(2.0)
    timeouts = {name: one.probe_timeout for name, one in watched.backends.detectors.items()}
    assert timeouts["charlie"] > 2 * timeouts["alpha"]


def test_the_last_one_that_can_be_used_knows_that_it_is() -> None:
    watched = Watched()
    watched.run(0.5)
    assert not any(one.last for one in watched.backends.detectors.values())
    watched.silent.add("alpha")
    watched.run(1.0)
    watched.take(watched.backends.set_admin("beta", Admin.MAINT, 1.0))
    assert [name for name, one in watched.backends.detectors.items() if one.last] == ["charlie"]
    watched.take(watched.backends.set_admin("beta", Admin.READY, 1.0))
    assert not watched.backends.detectors["charlie"].last


def test_the_active_one_is_asked_first() -> None:
    watched = Watched()
    watched.run(0.5)
    watched.take(watched.backends.switch("charlie", 1.0))
    assert watched.backends.eligible == ["charlie", "alpha", "beta"]


def test_out_of_maintenance_it_has_returned() -> None:
    watched = Watched()
    watched.run(0.5)
    watched.take(watched.backends.set_admin("beta", Admin.MAINT, 1.0))
    assert [item.down for item in watched.told(Verdict) if isinstance(item, Verdict)] == [None]
    watched.take(watched.backends.set_admin("beta", Admin.READY, 2.0))
    assert watched.told(Returned) == [Returned("beta")]
    watched.take(watched.backends.set_admin("beta", Admin.DRAIN, 2.0))
    watched.take(watched.backends.set_admin("beta", Admin.READY, 2.0))
    assert not watched.told(Returned)


def test_noise_on_the_probe_socket_is_no_answer() -> None:
    watched = Watched()
    for data in (b"", b"\0\0\0\0", b"OPTIONS sip:x SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\nCSeq: x\r\n\r\n"):
        assert watched.backends.answered("alpha", data, 0.0) == []


def test_a_canary_that_ends_and_can_be_made_anew_tells_of_a_restart() -> None:
    watched = Watched()
    watched.run(5.0)
    watched.judged.clear()
    watched.take(watched.backends.canary_closed("alpha", watched.now))
    watched.run(6.0)
    assert watched.told(BackendRestarted) == [BackendRestarted("alpha")]


def test_after_a_real_death_it_tells_nothing_more() -> None:
    watched = Watched()
    watched.run(5.0)
    watched.silent.add("alpha")
    watched.take(watched.backends.canary_closed("alpha", watched.now))
    watched.take(watched.backends.refused("alpha", watched.now))
    assert watched.told(BackendDown)
    watched.silent.clear()
    watched.run(8.0)
    assert not watched.told(BackendRestarted)


def test_canaries_closed_by_habit_are_no_news() -> None:
    canary = Canary()
    canary.opened(0.0)
    canary.closed(30.0)
    assert canary.opened(30.5)
    canary.closed(60.6)
    assert not canary.opened(61.0)
    canary.closed(68.0)
    assert canary.opened(68.5)
    canary.closed(70.0)
    canary.closed(71.0)  # a second try that failed
    assert canary.opened(72.0)


def test_no_two_probes_look_like_one_sent_again() -> None:
    """SIPp, for one, goes by the Call-ID alone."""
    watched = Watched()
    watched.run(1.0)
    probes = [parse(probe.data) for probe in watched.judged if isinstance(probe, Probe)]
    assert len({probe.call_id for probe in probes}) == len(probes) > 20


def test_what_is_said_on_a_canary_is_a_request_over_tcp() -> None:
    watched = Watched()
    watched.run(STIR_SECONDS + 1.0)
    [stir] = [item for item in watched.judged if isinstance(item, StirCanary) and item.backend == "alpha"]
    request = parse(stir.data)
    assert isinstance(request, Request) and request.method == "OPTIONS"
    assert (request.get("via") or "").startswith("SIP/2.0/TCP 127.0.0.10:5060;")
    probes = [item.data for item in watched.judged if isinstance(item, Probe)]
    assert all(request.call_id != parse(data).call_id for data in probes)
