"""The demonstration's scenes where something is not as it should be: it says so. What goes well is in test_demo.py."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from haproxy_voip.core.credential import Credential
from haproxy_voip.embedded import demo_place, demo_show
from haproxy_voip.embedded.certificate import write_certificate
from haproxy_voip.embedded.chat_facts import ClientSaw
from haproxy_voip.embedded.demo_chat import DemoChat
from haproxy_voip.embedded.demo_cluster import Cluster
from haproxy_voip.embedded.demo_phone import DemoPhone
from haproxy_voip.embedded.demo_place import DemoFailed
from haproxy_voip.embedded.demo_show import BEFORE, Failover, Show
from haproxy_voip.embedded.facts import By, PhoneEnded, PhoneMediaChanged
from haproxy_voip.embedded.tone import FRAME_SECONDS
from tests.embedded.conftest import Run

TALKED = 2.0  # seconds


def talker(cluster: Cluster, user: str, place: int) -> DemoPhone:
    """A phone that has heard the other's tone without a gap."""
    phone = DemoPhone(
        Credential(user, "d.example", "secret"), cluster.place.address(place), cluster.proxy_address, (450, 800)
    )
    now = monotonic()
    phone.audio.arrivals.extend(now - TALKED + FRAME_SECONDS * number for number in range(int(TALKED / FRAME_SECONDS)))
    return phone


def chat(cluster: Cluster) -> DemoChat:
    """Two who have not logged in."""
    write_certificate(cluster.certificate, cluster.folder / "key.pem", ["d.example"])
    passwords = {"1001": "one", "1002": "two"}
    return DemoChat(cluster.chat_address, cluster.certificate, "d.example", passwords)


def scene(run: Run, change: Callable[[DemoPhone, float], None]) -> Failover:
    """A server was killed a second ago; `change` is done to the callee before it is looked at."""
    found = Failover("alpha", "beta", 0.0)

    async def look() -> None:
        cluster = Cluster()
        try:
            pair = talker(cluster, "1001", demo_place.CALLER), talker(cluster, "1002", demo_place.CALLEE)
            found.killed_at = monotonic() - 1.0
            change(pair[1], found.killed_at)
            found.gaps = Show(cluster, pair, pair, chat(cluster))._heard_on(found)
        finally:
            cluster.stop()

    run(look)
    return found


def test_who_hears_the_other_all_the_time_has_no_gap(run: Run) -> None:
    found = scene(run, lambda phone, killed_at: None)
    assert max(found.gaps) < 5 * FRAME_SECONDS
    assert found.ms(found.killed_at + 0.0123) == "12 ms"


def test_a_gap_begins_with_the_last_packet_before_the_kill(run: Run) -> None:
    def silence(phone: DemoPhone, killed_at: float) -> None:
        times = [at for at in phone.audio.arrivals if not killed_at - 0.05 < at < killed_at + 0.15]
        phone.audio.arrivals.clear()
        phone.audio.arrivals.extend(times)

    ours, theirs = scene(run, silence).gaps
    assert ours < BEFORE < 0.2 <= theirs < 0.25


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (PhoneEnded("1002", 1, 200, By.THEM, "BYE"), "the call ended for 1002"),
        (PhoneMediaChanged("1002", 1, None, True, True), "1002 had to change its media"),
        (None, "1002 heard nothing for"),
    ],
)
def test_a_call_that_was_touched_is_a_failure(run: Run, fact: object, words: str) -> None:
    def touch(phone: DemoPhone, killed_at: float) -> None:
        if fact is None:
            phone.audio.arrivals.clear()
        else:
            phone.facts.append((killed_at + 0.1, fact))

    with pytest.raises(DemoFailed, match=words):
        scene(run, touch)


def test_what_does_not_come_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_show, "PATIENCE", 0.05)

    async def look() -> None:
        cluster = Cluster()
        try:
            pair = talker(cluster, "1001", demo_place.CALLER), talker(cluster, "1002", demo_place.CALLEE)
            with pytest.raises(DemoFailed, match="never told of BackendDown"):
                await Show(cluster, pair, pair, chat(cluster))._logged("BackendDown", 0.0, backend="alpha")
        finally:
            cluster.stop()

    run(look)


@pytest.mark.parametrize(
    ("heard", "fact", "words"),
    [
        ({}, None, "1 messages were lost and 0 doubled"),
        ({0: [1.0, 2.0]}, None, "0 messages were lost and 1 doubled"),
        ({0: [1.0]}, ClientSaw("", "1002@d.example/demo", available=False), "1001 saw 1002@d.example/demo go offline"),
    ],
)
def test_a_message_lost_or_doubled_or_a_flap_is_a_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch, heard: dict[int, list[float]], fact: object, words: str
) -> None:
    monkeypatch.setattr(demo_show, "PATIENCE", 0.05)

    async def look() -> None:
        cluster = Cluster()
        try:
            pair = talker(cluster, "1001", demo_place.CALLER), talker(cluster, "1002", demo_place.CALLEE)
            both = chat(cluster)
            one, other = both._writers
            one.written.append(0.5)
            other.heard.update(heard)
            one.facts += [] if fact is None else [fact]
            with pytest.raises(DemoFailed, match=words):
                await Show(cluster, pair, pair, both).count()
        finally:
            cluster.stop()

    run(look)
