"""Nothing new while the proxy is late (RFC 7339's notions); what is begun goes on."""

from __future__ import annotations

from haproxy_voip.configuration.model import LimitsConfig
from haproxy_voip.core.chance import Chance
from haproxy_voip.proxy.admission import LATE_LOOKS, RETRY_HIGH, RETRY_LOW, Admission
from haproxy_voip.proxy.events import Lagging
from haproxy_voip.proxy.limit_facts import OverloadBegan, OverloadEnded
from haproxy_voip.sip.errors import MessageError
from tests.proxy.stage import DOMAIN, Stage
from tests.proxy.talk import calm, incoming, outgoing, sdp
from tests.proxy.trunking import at_home, exchange

LIMIT = LimitsConfig().max_lag


def overloaded(stage: Stage) -> Stage:
    for _ in range(LATE_LOOKS):
        stage.feed(Lagging(LIMIT + 0.05))
    return stage


def test_new_requests_of_clients_get_503_with_retry_after_and_reach_no_backend() -> None:
    stage = calm()
    alice = stage.phone("1001")
    seen = len(stage.alpha.seen)
    overloaded(stage)
    for method in ("INVITE", "SUBSCRIBE", "REGISTER"):
        alice.send(alice.new(method, f"sip:1002@{DOMAIN}", body=sdp(alice)))
        assert RETRY_LOW <= int(alice.take_response(503).get("retry-after") or "") <= RETRY_HIGH
    assert len(stage.alpha.seen) == seen
    status = stage.command("status")
    assert status["overloaded"] is True and status["lag_ms"] == 300.0
    assert status["refused"] == {"overload": 3, "calls_per_user": 0}


def test_carriers_are_refused_as_well() -> None:
    stage = exchange()
    overloaded(stage)
    carrier = stage.carriers["carrier"]
    carrier.send(carrier.new("INVITE", at_home("1002"), body=sdp(carrier)))
    carrier.take(503)


def test_an_established_call_goes_on_and_ends() -> None:
    talk = outgoing(calm()).established()
    overloaded(talk.stage)
    talk.by_caller("INFO")
    talk.callee.answer(talk.callee.take_request("INFO"), 200)
    talk.caller.take(200)
    talk.hang_up()


def test_the_other_half_of_a_call_that_was_let_in_goes_on() -> None:
    stage = calm()
    stage.phone("1002")
    overloaded(stage)
    incoming(stage).established().hang_up()


def test_what_costs_little_is_answered() -> None:
    stage = overloaded(calm())
    alice = stage.client("1001")
    alice.send(alice.new("OPTIONS", f"sip:{DOMAIN}"))
    alice.take(200)


def test_it_begins_above_the_limit_and_ends_when_it_was_calm_for_a_second() -> None:
    admission = Admission(Chance.seeded(1))
    assert admission.measured(0.1, 0.1, 0.8) == []
    assert admission.measured(0.11, 0.1, 0.9) == []
    assert admission.measured(0.12, 0.1, 1.0) == [OverloadBegan(0.12)]
    assert admission.measured(0.5, 0.1, 1.1) == []
    assert admission.measured(0.04, 0.1, 2.0) == []
    assert admission.measured(0.06, 0.1, 2.9) == []  # less than the limit, and not calm
    assert admission.measured(0.04, 0.1, 3.0) == []
    assert admission.measured(0.0, 0.1, 3.9) == []
    assert admission.measured(0.0, 0.1, 4.0) == [OverloadEnded(3.0, 0)]
    assert not admission.overloaded


def test_one_long_turn_is_no_overload() -> None:
    admission = Admission(Chance.seeded(1))
    assert [admission.measured(lag, 0.1, 1.0) for lag in (5.0, 0.0, 5.0, 0.0)] == [[]] * 4


def test_who_was_refused_in_one_moment_does_not_come_back_in_one() -> None:
    admission = Admission(Chance.seeded(1))
    for _ in range(LATE_LOOKS):
        admission.measured(1.0, LIMIT, 0.0)
    asked: list[str] = []
    alice = calm().client("1001")
    register = alice.new("REGISTER", f"sip:{DOMAIN}")
    for _ in range(100):
        try:
            admission.admit(register)
        except MessageError as error:
            asked += [value for name, value, *_ in error.headers if name == "retry-after"]
    assert len(asked) == 100 and len(set(asked)) > (RETRY_HIGH - RETRY_LOW) / 2
    admission.measured(0.0, LIMIT, 1.0)
    assert admission.measured(0.0, LIMIT, 2.0) == [OverloadEnded(2.0, 100)]
