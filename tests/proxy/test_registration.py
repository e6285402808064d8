"""One contact at one backend: challenges, refusals, refreshes."""

from __future__ import annotations

import pytest

from haproxy_voip.proxy.facts import RegistrationRefused, RegistrationsPaused
from tests.proxy.servers import TCP_BACKENDS, Server, Servers, register, unregister


def started(algorithms: tuple[str, ...] = (), **changes: object) -> tuple[Servers, Server]:
    stage = Servers()
    alpha = stage.server("alpha")
    alpha.algorithms = algorithms
    for name, value in changes.items():
        setattr(alpha, name, value)
    register(stage.client("1001"), expires="3600")
    stage.pass_time(0.1)
    return stage, alpha


def refusals(stage: Servers) -> list[RegistrationRefused]:
    return [fact for fact in stage.facts if isinstance(fact, RegistrationRefused)]


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256", "MD5")])
def test_a_backends_challenge_is_answered(algorithms: tuple[str, ...]) -> None:
    stage, alpha = started(algorithms)
    assert alpha.statuses == [401, 200]
    first, second = (request for _, request in alpha.asked)
    assert first.call_id == second.call_id
    assert second.cseq.number == first.cseq.number + 1
    assert algorithms[0] in (second.get("authorization") or "")
    stage.assert_nothing_left()


def test_a_refresh_uses_the_nonce_again_with_a_growing_count() -> None:
    stage, alpha = started(("MD5",), granted=100)
    stage.pass_time(200)
    assert alpha.statuses[:4] == [401, 200, 200, 200]
    counts = [(request.get("authorization") or "").partition("nc=")[2][:8] for _, request in alpha.asked]
    assert counts[1:4] == ["00000001", "00000002", "00000003"]


def test_a_refresh_comes_between_half_and_four_fifths_of_what_was_granted() -> None:
    stage, alpha = started(granted=100)
    begun = alpha.asked[0][0]
    stage.pass_time(49)
    assert len(alpha.asked) == 1
    stage.pass_time(32)
    assert begun + 50 <= alpha.asked[1][0] <= begun + 81


def test_a_nonce_that_went_stale_is_no_wrong_password() -> None:
    stage, alpha = started(("MD5",), granted=100, nonce_life=60.0)
    stage.pass_time(300)
    assert 401 in alpha.statuses[2:]
    assert alpha.contacts
    assert not refusals(stage)


def test_a_wrong_secret_is_told_once_and_tried_rarely() -> None:
    stage, alpha = started(("SHA-256", "MD5"), passwords={"1001": "another"})
    assert alpha.statuses == [401, 401]
    stage.pass_time(600)
    assert len(alpha.statuses) < 14
    assert [(fact.backend, fact.user, fact.reason) for fact in refusals(stage)] == [
        ("alpha", "1001", "the password is wrong")
    ]
    alpha.passwords["1001"] = "secret1001"
    alpha.restart()
    stage.pass_time(700)
    assert alpha.contacts
    stage.assert_nothing_left()


def test_too_brief_is_asked_again_for_longer() -> None:
    stage, alpha = started(least=7200)
    assert alpha.statuses == [423, 200]
    assert alpha.asked[1][1].get("expires") == "7200"
    stage.assert_nothing_left()


def test_503_with_retry_after_is_respected() -> None:
    stage = Servers()
    alpha = stage.server("alpha")
    alpha.capacity, alpha.retry_after = 1, "7"
    register(stage.client("1001"))
    register(stage.client("1002"))
    stage.pass_time(6.5)
    assert alpha.statuses == [200, 503]
    stage.pass_time(1)
    assert len(alpha.contacts) == 2
    assert [fact for fact in stage.facts if isinstance(fact, RegistrationsPaused)]


def test_no_answer_is_tried_again_later() -> None:
    stage, alpha = started(silent=True)
    stage.pass_time(40)
    alpha.silent = False
    stage.pass_time(35)
    assert alpha.contacts
    assert not refusals(stage)
    stage.assert_nothing_left()


def test_an_unregistration_waits_for_the_registration_that_is_under_way() -> None:
    stage = Servers()
    stage.delay = 0.2
    alice = stage.client("1001")
    register(alice)
    unregister(alice)
    assert len(stage.server("alpha").asked) == 1
    stage.pass_time(1)
    assert [request.get("expires") for _, request in stage.server("alpha").asked] == ["3600", "0"]
    assert not stage.server("alpha").contacts
    stage.assert_nothing_left()


def test_over_tcp_one_connection_serves_all_and_is_made_anew() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    register(stage.client("1001"))
    register(stage.client("1002"))
    stage.pass_time(0.1)
    assert len(stage.opened) == 3
    assert len(stage.server("alpha").contacts) == 2
    contact = stage.server("alpha").asked[0][1].contacts[0].uri
    assert (contact.host, contact.port, contact.param("transport")) == ("127.0.0.10", 5060, "tcp")
    stage.cut("alpha")
    register(stage.client("1003"))
    stage.pass_time(0.1)
    assert len(stage.opened) == 4
    assert len(stage.server("alpha").contacts) == 3
    stage.assert_nothing_left()


def test_a_connection_that_cannot_be_made_is_no_storm() -> None:
    stage = Servers(backends=TCP_BACKENDS)
    stage.no_tcp.add("alpha")
    for user in ("1001", "1002", "1003"):
        register(stage.client(user))
    stage.pass_time(20)
    assert 4 < len(stage.opened) < 20
    assert len([fact for fact in stage.facts if isinstance(fact, RegistrationsPaused)]) <= 3
    stage.no_tcp.clear()
    stage.pass_time(6)
    assert len(stage.server("alpha").contacts) == 3
    stage.assert_nothing_left()
