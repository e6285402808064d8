"""The demonstration's chat clients against a server in the same process, without a proxy and without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded import demo_place
from haproxy_voip.embedded.certificate import write_certificate
from haproxy_voip.embedded.chat_facts import ClientOffline, ClientRefused, ClientSaw
from haproxy_voip.embedded.chat_server import ChatServer
from haproxy_voip.embedded.demo_chat import WRITE_EVERY, ChatFigures, DemoChat
from haproxy_voip.embedded.demo_place import Place
from haproxy_voip.embedded.settings import ChatServerSettings
from haproxy_voip.embedded.sockets import Sockets
from tests.embedded.conftest import Run

DOMAIN = "d.example"
PASSWORDS = {"1001": "one", "1002": "two"}


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place.claim()
    yield place
    place.give_back()


def made(place: Place, folder: Path) -> DemoChat:
    """The server here has no certificate, so both do without TLS."""
    certificate = folder / "certificate.pem"
    write_certificate(certificate, folder / "key.pem", [DOMAIN])
    chat = DemoChat(place.chat_address(demo_place.PROXY), certificate, DOMAIN, PASSWORDS)
    for writer in chat._writers:
        writer.client.settings = replace(writer.client.settings, secure=False)
    return chat


def test_two_write_to_each_other_and_all_of_it_is_counted(run: Run, place: Place, tmp_path: Path) -> None:
    async def scene() -> None:
        server = Sockets(ChatServer(ChatServerSettings(users=PASSWORDS, domain=DOMAIN), Chance.system()))
        await server.start([Endpoint(Transport.TCP, place.chat_address(demo_place.PROXY))])
        chat = made(place, tmp_path)
        began = monotonic()
        assert await chat.start(5.0)
        await asyncio.sleep(5 * WRITE_EVERY)
        await chat.settle(5.0)
        figures = chat.figures(began, monotonic())
        assert figures.written >= 8 and figures.longest_wait < 1.0
        assert (figures.lost, figures.doubled, chat.complaint()) == (0, 0, "")
        await chat.stop()
        await server.stop()

    run(scene)


def test_without_a_server_nobody_writes(run: Run, place: Place, tmp_path: Path) -> None:
    async def scene() -> None:
        chat = made(place, tmp_path)
        assert not await chat.start(0.05)
        await chat.stop()

    run(scene)


def test_what_did_not_come_is_lost_and_waited_for_until_now(run: Run, place: Place, tmp_path: Path) -> None:
    async def scene() -> None:
        one, other = (chat := made(place, tmp_path))._writers
        now = monotonic()
        one.written += [now - 3.0, now - 2.0, now - 1.0]
        other.heard.update({0: [now - 2.9], 1: [now - 1.5, now - 1.4]})
        assert chat.figures(now - 3.5, now - 1.5) == ChatFigures(2, pytest.approx(0.5), 0, 1)  # type: ignore[arg-type]
        assert chat.figures(now - 3.5, now).lost == 1 and chat.figures(now - 1.2, now).longest_wait >= 1.0

    run(scene)


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (ClientOffline("1001@d.example/demo", "reset", resumable=True), "1001 was disconnected: reset"),
        (ClientRefused("1001@d.example/demo", "7", "item-not-found"), "a message of 1001 came back: item-not-found"),
        (ClientSaw("1001@d.example/demo", "1002@d.example/demo", available=False), "1001 saw 1002@d.example/demo go"),
        (ClientSaw("1001@d.example/demo", "1002@d.example/demo", available=True), ""),
    ],
)
def test_trouble_is_told(run: Run, place: Place, tmp_path: Path, fact: object, words: str) -> None:
    async def scene() -> None:
        chat = made(place, tmp_path)
        chat._writers[0].facts.append(fact)
        assert words in chat.complaint() and bool(words) == bool(chat.complaint())

    run(scene)
