"""Who sends too much that is good for nothing is not listened to for a while, and nobody else is hurt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from haproxy_voip.configuration.model import LimitsConfig
from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.effects import Close
from haproxy_voip.core.events import StreamData, StreamOpened
from haproxy_voip.proxy import sources as sources_module
from haproxy_voip.proxy.events import Reconfigured
from haproxy_voip.proxy.limit_facts import SourceBanned
from haproxy_voip.proxy.sources import Sources
from tests.proxy.stage import DOMAIN, PROXY, Peer, Stage
from tests.proxy.talk import calm, outgoing
from tests.proxy.trunking import exchange

EVIL = "198.51.100.66"
LIMITS = LimitsConfig(failures=5, requests=20, ban=10.0, max_ban=60.0)
GARBAGE = b"INVITE sip:1002@voip.test SIP/2.0\r\nthis is no header\r\n\r\n"


def flow(host: str = EVIL, port: int = 5060) -> Flow:
    return Flow(Transport.UDP, PROXY, Address(host, port))


def sources(**changes: object) -> Sources:
    limits = dataclasses.replace(LIMITS, **changes)  # type: ignore[arg-type]
    return Sources(limits, limits.allow)


def banned(stage: Stage) -> list[SourceBanned]:
    return [fact for fact in stage.facts if isinstance(fact, SourceBanned)]


def register(phone: Peer, password: str | None = None) -> int:
    """What the phone is answered in the end; 0 when it is not."""
    credential = phone.stage.credentials.get(phone.user)
    if password is not None:
        phone.stage.credentials = {
            **phone.stage.credentials,
            phone.user: dataclasses.replace(phone.stage.credentials["1001"], user=phone.user, password=password),
        }
    phone.request("REGISTER", f"sip:{DOMAIN}", to=f"<sip:{phone.user}@{DOMAIN}>", expires="600")
    if credential is not None:
        phone.stage.credentials = {**phone.stage.credentials, phone.user: credential}
    answers = [one.status for one in phone.inbox]  # type: ignore[union-attr]
    phone.inbox.clear()
    return answers[-1] if answers else 0


def fails(stage: Stage, times: int = 6) -> Peer:
    """Guesses passwords."""
    guesser = stage.peers.get(Address(EVIL, 5060)) or stage.client("1001", EVIL)
    for number in range(times):
        register(guesser, f"guess{number}")
    return guesser


# -- at the node ----------------------------------------------------------------------------------------


def test_who_guesses_passwords_is_dropped_silently_and_counted() -> None:
    stage = calm(limits=LIMITS)
    guesser = fails(stage)
    assert banned(stage) == [SourceBanned(EVIL, "wrong credentials", 10.0, 1)]
    assert register(guesser) == 0
    status = stage.command("status")
    assert status["offences"] == {"failures": 6, "unproven": 6, "bans": 1, "dropped": 1}
    assert status["banned_sources"] == 1
    assert status["banned"] == [{"source": EVIL, "seconds_left": 10.0, "bans": 1, "reason": "wrong credentials"}]


def test_a_ban_ends_and_the_next_one_takes_twice_as_long() -> None:
    stage = calm(limits=LIMITS)
    for bans, seconds in enumerate((10.0, 20.0, 40.0, 60.0, 60.0), 1):
        guesser = fails(stage)
        assert banned(stage)[-1] == SourceBanned(EVIL, "wrong credentials", seconds, bans)
        stage.pass_time(seconds - 0.1)
        assert register(guesser) == 0
        stage.pass_time(0.2)
        assert register(guesser) == 200
    stage.pass_time(130)
    fails(stage)
    assert banned(stage)[-1].bans == 1


@pytest.mark.parametrize("rubbish", [GARBAGE, b"x" * 40, b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n"])
def test_who_sends_what_is_no_message_is_banned(rubbish: bytes) -> None:
    stage = calm(limits=LIMITS)
    stranger = stage.client("1001", EVIL)
    for _ in range(6):
        stranger.send(rubbish)
    assert banned(stage) == [SourceBanned(EVIL, "malformed messages", 10.0, 1)]


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "ACK", "BYE"])
def test_who_floods_without_credentials_is_banned(method: str) -> None:
    stage = calm(limits=LIMITS)
    stranger = stage.client("1001", EVIL)
    for number in range(21):
        to = f"<sip:{DOMAIN}>" + (";tag=none" if method in ("ACK", "BYE") else "")
        stranger.send(stranger.new(method, f"sip:{DOMAIN}", to=to, call_id=f"flood{number}"))
    assert [(fact.source, fact.seconds) for fact in banned(stage)] == [(EVIL, 10.0)]


def test_phones_behind_the_same_address_that_proved_themselves_go_on() -> None:
    stage = calm(limits=LIMITS)
    good = Peer(stage, flow(port=40001), "1002")
    stage.peers[good.flow.remote] = good
    assert register(good) == 200
    fails(stage)
    assert banned(stage)
    assert register(good) == 200
    new = stage.peers.setdefault(Address(EVIL, 40002), Peer(stage, flow(port=40002), "1003"))
    assert register(new) == 0  # a stranger has to wait
    stage.pass_time(10.1)
    assert register(new) == 200


def test_a_call_that_is_up_goes_on_when_its_phones_address_is_banned() -> None:
    stage = calm(limits=LIMITS)
    talk = outgoing(stage).established()
    stranger = Peer(stage, flow(talk.caller.host, 9), "1003")
    for _ in range(6):
        stranger.send(GARBAGE)
    assert banned(stage)
    talk.hang_up()


def test_an_office_of_many_phones_is_judged_by_its_failures_only() -> None:
    stage = Stage(
        dataclasses.replace(calm().config, limits=LIMITS), users=[str(1000 + number) for number in range(100)]
    )
    for number in range(100):
        phone = Peer(stage, flow("203.0.113.77", 20000 + number), str(1000 + number))
        stage.peers[phone.flow.remote] = phone
        assert register(phone) == 200
    assert not banned(stage)


def test_backends_and_carriers_and_who_is_allowed_are_never_banned() -> None:
    stage = exchange(limits=dataclasses.replace(LIMITS, allow=(ip_network("192.0.2.0/24"),)))
    for host in (stage.alpha.host, "203.0.113.5", "203.0.113.9", "192.0.2.9"):
        peer = Peer(stage, flow(host, 6000), "1001")
        for _ in range(30):
            peer.send(GARBAGE)
    assert not banned(stage) and not stage.node._sources.barred
    assert stage.command("status")["offences"]["failures"] == 120  # type: ignore[index]


def test_a_reload_that_allows_somebody_lets_them_in_at_once() -> None:
    stage = calm(limits=LIMITS)
    guesser = fails(stage)
    limits = dataclasses.replace(LIMITS, allow=(ip_network(EVIL),))
    stage.feed(Reconfigured(dataclasses.replace(stage.config, limits=limits)))
    assert register(guesser) == 200


def test_connections_of_who_is_banned_are_closed() -> None:
    stage = calm(limits=LIMITS)
    before = stage.connected("1001", 1, EVIL)
    fails(stage)
    opened = Flow(Transport.TCP, PROXY, Address(EVIL, 40003), 3)
    for event in (StreamOpened(opened), StreamData(b"\r\n\r\n", before.flow)):
        assert stage.node.receive(event, stage.now) == [Close(event.flow)]
    assert stage.node._shared.network.streams == 1  # the one from before, until its end is told


# -- the table ------------------------------------------------------------------------------------------


def test_what_was_sent_is_forgotten_within_a_minute() -> None:
    known = sources()
    for minute in range(10):
        assert [known.mistake(flow(), 60.0 * minute, "x") for _ in range(5)] == [[]] * 5


def test_an_ipv6_address_stands_for_its_64() -> None:
    known = sources()
    told = [known.mistake(flow(f"2001:db8:1:2::{number:x}"), 1.0, "x") for number in range(1, 7)]
    assert told[-1] == [SourceBanned("2001:db8:1:2::/64", "x", 10.0, 1)]
    assert known.bars(flow("2001:db8:1:2:ffff::9"), 2.0)
    assert not known.bars(flow("2001:db8:1:3::1"), 2.0)


def test_who_is_spared_for_what_it_was_may_go_too_far() -> None:
    known = sources()
    known.proved(flow())
    for _ in range(6):
        known.mistake(flow(), 1.0, "x")
    assert known.bars(flow(), 1.0)


def test_one_who_proves_itself_pays_less_for_asking() -> None:
    known = sources()
    known.proved(flow())
    assert not any(known.asked(flow(), 1.0) for _ in range(199))


def test_tables_are_bounded_whoever_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_SOURCES", "MAX_BANNED", "MAX_PROVEN"):
        monkeypatch.setattr(sources_module, name, 10)
    known = sources(failures=1)
    for host in hosts(200):
        known.proved(flow(host))
        known.mistake(flow(host), 1.0, "x")
        known.mistake(flow(host), 1.0, "x")
    assert len(known.barred) == 10 and len(known._records) <= 20 and len(known._proven) <= 10
    assert len(known._young) + len(known._old) <= 20
    assert len(known.rows(1.0)) == 10 and known.banned(1.0) == 10 and known.banned(99.0) == 0
    known.mistake(flow(EVIL), 100.0, "x")
    assert known.mistake(flow(EVIL), 100.0, "x")
    assert list(known.barred) == [EVIL]  # those whose time is over make room


def hosts(count: int) -> Iterator[str]:
    yield from (f"10.0.{number // 250}.{number % 250}" for number in range(count))


def test_nobody_is_looked_for_while_nobody_is_banned() -> None:
    known = sources()
    assert not known.barred
    assert not known.bars(flow(), 1.0)


def test_rubbish_in_a_phones_name_bans_nobody() -> None:
    """The source of a datagram is easily forged, down to the port."""
    table = sources()
    table.proved(flow("198.51.100.7"))
    assert [table.malformed(flow("198.51.100.7"), 1.0) for _ in range(100)] == [[]] * 100
    assert table.failed == 100 and not table.bars(flow("198.51.100.7"), 1.0)
    told = [fact for _ in range(6) for fact in table.malformed(flow(), 1.0)]
    assert told == [SourceBanned(EVIL, "malformed messages", 10.0, 1)]
