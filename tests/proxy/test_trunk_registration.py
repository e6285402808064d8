"""Our registration at a carrier: made, refreshed, tried again, taken back."""

from __future__ import annotations

import dataclasses

import pytest

from haproxy_voip.configuration.model import HealthConfig
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.credential import Credential
from haproxy_voip.proxy.effects import Left
from haproxy_voip.proxy.events import AskedToStop, Reconfigured
from haproxy_voip.proxy.trunk_facts import TrunkRegistered, TrunkRegistrationFailed
from haproxy_voip.proxy.trunk_registration import REFUSED_FIRST, RETRY_FIRST, RETRY_LAST
from haproxy_voip.sip.digest import Authenticator, Rejected
from haproxy_voip.sip.message import Request, header, response_to
from tests.proxy.stage import Peer, Stage, config
from tests.proxy.trunking import ACCOUNT, exchange, take_registration, trunk


class Carrier:
    """Challenges as real ones do, and says what it thinks."""

    def __init__(self, stage: Stage, password: str = ACCOUNT.password, algorithms: tuple[str, ...] = ("MD5",)) -> None:
        known = {ACCOUNT.user: Credential(ACCOUNT.user, "carrier.example", password=password)}
        self.stage = stage
        self.peer = stage.carriers["carrier"]
        self._authenticator = Authenticator("carrier.example", known.get, b"key", algorithms)
        self.times: list[float] = []

    def take(self, status: int = 200, *, proxy: bool = False, seconds: int = 3600, **headers: str) -> Request:
        """Take what is asked, after challenging it; the REGISTER that was."""
        while True:
            request = self.peer.take_request("REGISTER")
            if request.has("proxy-authorization"):  # the authenticator takes us for a registrar
                request.set("authorization", request.get("proxy-authorization") or "")
            outcome = self._authenticator.authenticate(request, self.stage.now)
            if not isinstance(outcome, Rejected):
                break
            name = "proxy-authenticate" if proxy else "www-authenticate"
            values = self._authenticator.challenge(self.stage.now, outcome.stale)
            challenge = [header(name, value) for value in values]
            self.peer.send(response_to(request, 407 if proxy else 401, None, "c", challenge))
        self.times.append(self.stage.now)
        if status == 200:
            headers["contact"] = f"{request.get('contact')};expires={seconds}"
        self.peer.answer(request, status, **headers)
        return request


def registering(**changes: object) -> Stage:
    account = dataclasses.replace(ACCOUNT, **changes)
    return Stage(config(trunks=(trunk(register=account),), health=HealthConfig(inter=500.0)))


def until_asked(stage: Stage) -> None:
    while not stage.carriers["carrier"].inbox:
        stage.pass_time(0.1)


def row(stage: Stage) -> dict[str, object]:
    """Of `status`."""
    rows = stage.command("status")["trunks"]
    assert isinstance(rows, list)
    return rows[0]  # type: ignore[no-any-return]


def told(stage: Stage, kind: type) -> list[str]:
    return [str(fact) for fact in stage.facts if isinstance(fact, kind)]


def waits(stage: Stage, status: int, count: int, limit: float, **headers: str) -> list[float]:
    """The carrier answers so each time: how long it is left in peace in between."""
    carrier, times = stage.carriers["carrier"], []
    for _ in range(count):
        carrier.answer(carrier.take_request("REGISTER"), status, **headers)
        before = stage.now
        while not carrier.inbox and stage.now < before + limit:
            stage.pass_time(0.1)
        times.append(stage.now - before)
    return times


# -- going well -----------------------------------------------------------------------------------------


def test_it_registers_at_once_with_a_contact_that_is_our_account() -> None:
    stage = registering()
    assert row(stage)["registration"] == "registering"
    request = take_registration(stage, 600)
    assert str(request.request_uri) == "sip:carrier.example"
    assert str(request.to.uri) == str(request.from_.uri) == "sip:4930555@carrier.example"
    assert request.get("contact") == "<sip:4930555@127.0.0.10:5060>" and request.get("expires") == "3600"
    assert row(stage) == {
        "name": "carrier", "address": "udp:203.0.113.5:5060", "calls": 0, "max_calls": 30,
        "registration": "registered", "expires_in": 600, "last_error": None,
    }  # fmt: skip
    assert told(stage, TrunkRegistered) == ["trunk carrier: registered as 4930555 for 600 s"]


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256", "MD5")])
def test_its_challenge_is_answered(proxy: bool, algorithms: tuple[str, ...]) -> None:
    stage = registering()
    Carrier(stage, algorithms=algorithms).take(proxy=proxy)
    assert row(stage)["registration"] == "registered"


def test_it_is_refreshed_in_time_with_the_nonce_it_has_and_that_is_not_told() -> None:
    stage = registering()
    carrier = Carrier(stage)
    first = carrier.take(seconds=100)
    stage.pass_time(49)
    assert carrier.peer.inbox == []
    stage.pass_time(32)
    again = carrier.take(seconds=100)
    assert again.call_id == first.call_id and again.cseq.number == first.cseq.number + 1
    assert "nc=00000002" in (again.get("authorization") or "")
    assert len(told(stage, TrunkRegistered)) == 1


def test_a_nonce_that_went_stale_costs_a_round_trip_and_nothing_else() -> None:
    stage = registering()
    carrier = Carrier(stage)
    carrier.take(seconds=1000)
    until_asked(stage)
    carrier.take()
    assert row(stage)["registration"] == "registered" and told(stage, TrunkRegistrationFailed) == []


def test_our_contact_s_expiry_counts_where_others_have_the_same_account() -> None:
    stage = registering()
    carrier = stage.carriers["carrier"]
    request = carrier.take_request("REGISTER")
    contacts = f"<sip:4930555@198.51.100.77>;expires=50, {request.get('contact')};expires=200"
    carrier.answer(request, 200, contact=contacts, expires="3600")
    assert row(stage)["expires_in"] == 200


def test_a_carrier_that_wants_longer_registrations_gets_them() -> None:
    stage = registering(expires=60.0)
    Carrier(stage).take(423, min_expires="1800")
    assert stage.carriers["carrier"].take_request("REGISTER").get("expires") == "1800"


# -- going wrong ----------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_once_and_tried_ever_more_rarely() -> None:
    stage = registering()
    carrier = Carrier(stage, password="other")
    with pytest.raises(AssertionError):
        carrier.take()  # it never proves itself
    assert row(stage)["registration"] == "refused" and row(stage)["last_error"] == "the password is wrong"
    assert carrier.peer.inbox == []
    [fact] = told(stage, TrunkRegistrationFailed)
    assert fact.startswith("trunk carrier: cannot register as 4930555: the password is wrong; trying again in ")
    stage.pass_time(REFUSED_FIRST)
    with pytest.raises(AssertionError):
        carrier.take()
    assert len(told(stage, TrunkRegistrationFailed)) == 1


def test_after_a_refusal_each_wait_is_a_random_share_of_twice_the_last() -> None:
    seconds = waits(registering(), 403, 4, 1000.0)
    for place, waited in enumerate(seconds):
        assert 0.5 * REFUSED_FIRST * 2**place <= waited <= REFUSED_FIRST * 2**place + 0.2


def test_an_overloaded_carrier_is_asked_soon_then_less_often_and_not_before_it_wants() -> None:
    seconds = waits(registering(), 503, 8, 1000.0)
    assert 0.5 * RETRY_FIRST <= seconds[0] <= RETRY_FIRST + 0.2
    assert 0.5 * RETRY_LAST <= seconds[-1] <= RETRY_LAST + 0.2
    assert len({round(waited / min(RETRY_FIRST * 2**place, RETRY_LAST), 2) for place, waited in enumerate(seconds)}) > 3
    [wanted] = waits(registering(), 503, 1, 1000.0, retry_after="300")
    assert 300 <= wanted < 301


def test_a_carrier_that_says_nothing_is_unreachable_once_the_registration_has_run_out() -> None:
    stage = registering()
    carrier = Carrier(stage)
    carrier.take(seconds=100)
    stage.pass_time(82 + 5)
    assert row(stage)["registration"] == "registered"
    stage.pass_time(40)
    assert row(stage)["registration"] == "unreachable" and row(stage)["expires_in"] is None
    assert row(stage)["last_error"] == "no answer"
    carrier.peer.inbox.clear()
    until_asked(stage)
    carrier.take()
    assert row(stage)["registration"] == "registered" and row(stage)["last_error"] is None
    assert len(told(stage, TrunkRegistered)) == 2


def test_a_registration_for_no_time_is_a_refusal() -> None:
    stage = registering()
    take_registration(stage, 0)
    assert (row(stage)["registration"], row(stage)["last_error"]) == ("refused", "accepted for 0 s")


# -- the end --------------------------------------------------------------------------------------------


def left(stage: Stage) -> bool:
    return any(isinstance(fact, Left) for fact in stage.facts)


def leave(stage: Stage) -> Peer:
    stage.feed(AskedToStop("SIGTERM"))
    return stage.carriers["carrier"]


def test_before_the_end_the_carrier_hears_of_it_and_nothing_is_asked_any_more() -> None:
    stage = registering()
    carrier = Carrier(stage)
    first = carrier.take()
    stage.pass_time(301)  # the nonce is old by now: challenged once more
    leave(stage)
    assert not left(stage)
    last = carrier.take(seconds=0)
    assert last.get("expires") == "0" and last.get("contact") == first.get("contact")
    assert left(stage)
    stage.pass_time(4000)
    assert carrier.peer.inbox == []


def test_what_was_never_registered_needs_no_taking_back() -> None:
    stage = exchange()
    leave(stage)
    assert left(stage)


def test_a_carrier_that_does_not_answer_does_not_keep_us() -> None:
    stage = registering()
    leave(stage)  # the first REGISTER is still under way
    assert [one.get("expires") for one in stage.carriers["carrier"].inbox][-1] == "0"
    stage.pass_time(40)
    assert left(stage)


# -- another configuration ------------------------------------------------------------------------------


def test_an_account_that_changes_is_registered_anew_and_the_old_one_taken_back() -> None:
    stage = registering()
    carrier = Carrier(stage)
    carrier.take()
    other = trunk(register=dataclasses.replace(ACCOUNT, user="4930777"))
    stage.feed(Reconfigured(dataclasses.replace(stage.config, trunks=(other,))))
    stage.pass_time(0.1)
    old, new = [one for one in carrier.peer.inbox if isinstance(one, Request)]
    assert (old.to.uri.user, old.get("expires")) == ("4930555", "0")
    assert (new.to.uri.user, new.get("expires")) == ("4930777", "3600")


def test_what_does_not_concern_the_account_leaves_the_registration_alone() -> None:
    stage = registering()
    take_registration(stage)
    stage.feed(Reconfigured(dataclasses.replace(stage.config, trunks=(trunk(register=ACCOUNT, max_calls=5),))))
    stage.pass_time(1.0)
    assert stage.carriers["carrier"].inbox == [] and row(stage)["registration"] == "registered"


def test_a_trunk_that_is_elsewhere_is_registered_there() -> None:
    stage = registering()
    take_registration(stage)
    there = Endpoint(Transport.UDP, Address("203.0.113.9", 5060))
    new = stage._carrier(there)
    stage.feed(Reconfigured(dataclasses.replace(stage.config, trunks=(trunk(register=ACCOUNT, address=there),))))
    stage.pass_time(0.1)
    assert stage.carriers["carrier"].take_request("REGISTER").get("expires") == "0"
    assert new.take_request("REGISTER").get("expires") == "3600"
