"""Another configuration at the edge: sockets are opened before others close, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from haproxy_voip.configuration.errors import ConfigErrors
from haproxy_voip.configuration.load import load
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Endpoint, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.events import Datagram
from haproxy_voip.edge.around import Around, BadConfiguration, Loaded
from haproxy_voip.edge.assemble import Edge
from haproxy_voip.edge.control_client import request
from haproxy_voip.edge.facts import AskedToReload, Listening, NotListening, NotReloaded, Reloaded
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.facts import BackendGone, BackendUp
from haproxy_voip.proxy.node import Node
from tests.edge.test_assemble import ANY, unverified

REPLY = b"SIP/2.0 200 OK\r\nVia: %s\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:a>;tag=2\r\nCall-ID: %s\r\nCSeq: %s\r\n\r\n"
SETTLING = 2000  # looks, 10 ms apart
USERS = ("voip.example", {"1001": Credential("1001", "voip.example", password="secret")})


class Server:
    """A backend that answers probes."""

    def __init__(self) -> None:
        self.probed = 0

    async def start(self) -> Server:
        self.listener = await UdpListener.bind(ANY, self._heard)
        return self

    @property
    def at(self) -> Endpoint:
        return self.listener.endpoint

    def _heard(self, event: Datagram) -> None:
        self.probed += 1
        lines = dict(line.split(b": ", 1) for line in event.data.split(b"\r\n")[1:] if b": " in line)
        self.listener.send(event.flow.remote, REPLY % (lines[b"Via"], lines[b"Call-ID"], lines[b"CSeq"]))


class Proxy:
    """A proxy of this text, which may be changed and loaded again."""

    def __init__(self, folder: Path, control: Path, heard: Any) -> None:
        self.file, self.control = folder / "x.yaml", control
        self.users: Any = USERS
        self.prepared: list[Config] = []
        self.read: Loaded | None = None  # instead of the file
        self.refuse = ""  # what preparing says
        self.facts = heard()

    async def start(self, text: str) -> Proxy:
        config = await asyncio.to_thread(self.parsed, text)
        now = time.monotonic()
        node = Node(config, USERS, Chance.seeded(1), now)
        around = Around(readers=[self.facts], users=USERS, load=self._loaded, prepare=self._prepare)
        self.edge = Edge(config, node, around)
        await self.edge.start()
        return self

    async def reload(self, text: str) -> dict[str, Any]:
        await asyncio.to_thread(self.file.write_text, text)
        return await asyncio.to_thread(request, self.control, "reload", {})

    def parsed(self, text: str) -> Config:
        self.file.write_text(text)
        (self.file.parent / "users.yaml").write_text("realm: voip.example\nusers:\n  '1001': {password: secret}\n")
        return load(self.file)

    def _loaded(self) -> Loaded:
        if self.read is not None:
            return self.read
        try:
            return Loaded(load(self.file), self.users)
        except ConfigErrors as error:
            raise BadConfiguration(str(error)) from None

    def _prepare(self, config: Config) -> Callable[[], Any]:
        if self.refuse:
            raise BadConfiguration(self.refuse)
        self.prepared.append(config)
        return lambda: [self.facts]

    @property
    def control_line(self) -> str:
        return f"users: users.yaml\ncontrol: {self.control}\n"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 where nobody listens, neither on UDP nor on TCP."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            tcp = stack.enter_context(socket.socket())
            tcp.bind(("127.0.0.1", 0))
            number = tcp.getsockname()[1]
            try:
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(number)
        return found


@pytest.fixture
def ports() -> list[int]:
    """The first is that of the listener which every configuration has."""
    return free_ports(3)


@pytest.fixture
def text(socket_path: Path, ports: list[int]) -> Callable[..., str]:
    def build(*backends: Endpoint, listen: str = "", more: str = "") -> str:
        names = "\n".join(f"  b{number}: {{sip: '{at}'}}" for number, at in enumerate(backends))
        return (
            f"proxy: {{domain: voip.example, sip: {{listen: ['udp:127.0.0.1:{ports[0]}'{listen}]}}{more}}}\n"
            f"users: users.yaml\ncontrol: {socket_path}\nhealth: {{inter: 20ms, timeout: 20ms}}\nbackends:\n{names}\n"
        )

    return build


async def servers(count: int) -> list[Server]:
    return [await Server().start() for _ in range(count)]


def test_backends_come_and_go_and_their_sockets_with_them(run, heard, tmp_path, socket_path, text):
    async def scene():
        one, two = await servers(2)
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at))
        await proxy.facts.until(BackendUp)
        answer = await proxy.reload(text(one.at, two.at))
        assert answer == {
            "changed": [f"backends.b1.sip: {two.at} added: it is checked before it is used"],
            "later": [],
        }
        assert (await proxy.facts.until(BackendUp, 2)).backend == "b1"
        await proxy.reload(text(one.at))
        assert (await proxy.facts.until(BackendGone)).backend == "b1"
        assert list(proxy.edge._probes.endpoints) == ["b0"] and list(proxy.edge._canaries._targets) == ["b0"]
        await proxy.edge.stop()
        for server in (one, two):
            server.listener.close()

    run(scene)


def test_another_address_is_taken_as_soon_as_the_former_one_is_left(run, heard, tmp_path, socket_path, text):
    async def scene():
        one, two, three = await servers(3)
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at, two.at))
        await proxy.facts.until(BackendUp, 2)
        answer = await proxy.reload(text(one.at, three.at))
        assert [line.partition(";")[2] for line in answer["later"]] == [" when nothing is left at the former address"]
        await proxy.facts.until(BackendGone)
        assert (await proxy.facts.until(BackendUp, 3)).backend == "b1"
        assert three.probed
        assert "added" in str(await proxy.facts.until(Reloaded, 2))
        await proxy.edge.stop()
        for server in (one, two, three):
            server.listener.close()

    run(scene)


def test_listeners_open_before_others_close_and_what_is_connected_stays(
    run, heard, tmp_path, socket_path, text, free_tcp_port, free_udp_port
):
    async def scene():
        [one] = await servers(1)
        first, second = f", 'tcp:{free_tcp_port}'", f", 'udp:{free_udp_port}'"
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at, listen=first))
        reader, writer = await asyncio.open_connection(*free_tcp_port)
        await proxy.reload(text(one.at, listen=second))
        told = [fact for fact in proxy.facts if isinstance(fact, Listening | NotListening)]
        kinds = [(type(fact), fact.endpoint.transport) for fact in told]
        assert kinds[2:] == [(Listening, Transport.UDP), (NotListening, Transport.TCP)]
        with pytest.raises(OSError):
            await asyncio.open_connection(*free_tcp_port)
        writer.write(b"\r\n\r\n")  # RFC 5626 section 4.4.1
        assert await reader.readexactly(2) == b"\r\n"
        await proxy.reload(text(one.at))
        assert (await proxy.facts.until(NotListening, 2)).endpoint.address == free_udp_port  # nobody talks over it
        writer.close()
        await proxy.edge.stop()
        one.listener.close()

    run(scene)


def test_whoever_connects_after_it_is_shown_the_new_certificate(
    run, heard, tmp_path, socket_path, text, certificates, ports
):
    def shown(address) -> str:
        return ssl.get_server_certificate(address)

    async def scene():
        [one] = await servers(1)
        await asyncio.to_thread(shutil.copy, certificates.certificate, tmp_path / "c")
        await asyncio.to_thread(shutil.copy, certificates.key, tmp_path / "k")
        whole = text(one.at, listen=f", 'tls:127.0.0.1:{ports[1]}'", more=", tls: {certificate: c, key: k}")
        proxy = await Proxy(tmp_path, socket_path, heard).start(whole)
        address = next(at.address for at in proxy.edge.endpoints if at.transport is Transport.TLS)
        before = await asyncio.to_thread(shown, address)
        _, writer = await asyncio.open_connection(*address, ssl=unverified())
        assert (await proxy.reload(whole))["changed"] == []
        await asyncio.to_thread(another_certificate, tmp_path)
        answer = await proxy.reload(whole)
        assert answer["changed"] == [f"certificates: {tmp_path / name} read again" for name in ("c", "k")]
        assert await asyncio.to_thread(shown, address) != before
        assert not writer.is_closing()
        writer.close()
        await asyncio.to_thread(shutil.copy, certificates.other_key, tmp_path / "k")
        assert "certificate and key cannot be used" in (await proxy.reload(whole))["error"]
        assert await asyncio.to_thread(shown, address) != before
        await proxy.edge.stop()
        one.listener.close()

    run(scene)


def test_a_bad_file_changes_nothing_and_says_where(run, heard, tmp_path, socket_path, text):
    async def scene():
        [one] = await servers(1)
        good = text(one.at)
        proxy = await Proxy(tmp_path, socket_path, heard).start(good)
        before = proxy.edge.config
        proxy.edge.ask_to_reload()
        await proxy.facts.until(AskedToReload)
        await proxy.facts.until(Reloaded)
        bad = good + "limits: {max_calls: many}\n"
        answer = await proxy.reload(bad)
        line = len(bad.splitlines())
        assert f"x.yaml:{line}: limits.max_calls: " in answer["error"]
        assert answer["error"] in str(await proxy.facts.until(NotReloaded))
        assert proxy.edge.config == before
        await proxy.edge.stop()
        one.listener.close()

    run(scene)


def test_what_was_opened_for_a_configuration_that_cannot_be_is_closed(
    run, heard, tmp_path, socket_path, text, free_tcp_port, free_udp_port
):
    async def scene():
        [one] = await servers(1)
        taken = await UdpListener.bind(free_udp_port, lambda event: None)
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at))
        endpoints = proxy.edge.endpoints
        both = f", 'tcp:{free_tcp_port}', 'udp:{free_udp_port}'"
        assert "another program listens there" in (await proxy.reload(text(one.at, listen=both)))["error"]
        assert proxy.edge.endpoints == endpoints
        proxy.refuse = "call_records: no"
        answer = await proxy.reload(text(one.at, listen=f", 'tcp:{free_tcp_port}'"))
        assert answer == {"error": "call_records: no"}
        assert proxy.edge.endpoints == endpoints
        with pytest.raises(OSError):
            await asyncio.open_connection(*free_tcp_port)
        taken.close()
        await proxy.edge.stop()
        one.listener.close()

    run(scene)


def test_users_are_told_only_when_they_have_changed(run, heard, tmp_path, socket_path, text):
    async def scene():
        [one] = await servers(1)
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at))
        sessions = proxy.edge._node._shared.authentication.sessions
        assert await proxy.reload(text(one.at)) == {"changed": [], "later": []}
        assert proxy.edge._node._shared.authentication.sessions is sessions
        more = {name: Credential(name, "voip.example", password="new") for name in ("1001", "1002")}
        proxy.users = ("voip.example", more)
        assert (await proxy.reload(text(one.at)))["changed"] == ["users: 1 added, 0 removed, 1 with another secret"]
        assert proxy.edge._node._shared.authentication.knows("1002")
        await proxy.edge.stop()
        one.listener.close()

    run(scene)


def test_what_takes_effect_at_restart_is_told_and_nothing_is_done_of_it(run, heard, tmp_path, socket_path, text):
    async def scene():
        [one] = await servers(1)
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at))
        before = proxy.edge.config
        other = text(one.at).replace(str(socket_path), str(socket_path.with_name("other")))
        for _ in range(2):  # and told again, as long as it is so
            answer = await proxy.reload(other)
            assert answer == {"changed": [], "later": ["control: changed; takes effect at restart"]}
        assert proxy.edge.config == before
        await proxy.edge.stop()
        one.listener.close()

    run(scene)


def test_a_hundred_reloads_leave_no_file_no_task_and_nothing_to_the_collector(
    run, heard, tmp_path, socket_path, text, certificates, free_tcp_port, ports
):
    async def scene():
        one, two = await servers(2)
        names = f", tls: {{certificate: {certificates.certificate}, key: {certificates.key}}}"
        chat = f", xmpp: {{listen: ['tls:127.0.0.1:{ports[1]}']}}"
        secure = f", 'tls:127.0.0.1:{ports[2]}'"
        texts = [
            text(one.at, two.at, listen=secure, more=names + chat),
            text(one.at, listen=f"{secure}, 'tcp:{free_tcp_port}'", more=names + chat),
        ]
        proxy = await Proxy(tmp_path, socket_path, heard).start(texts[0])
        loaded = [Loaded(await asyncio.to_thread(proxy.parsed, one), USERS) for one in texts]

        async def rounds(count: int) -> None:
            for number in range(count):
                proxy.read = loaded[(number + 1) % 2]
                assert "error" not in await asyncio.to_thread(request, socket_path, "reload", {})
            proxy.facts.clear()
            proxy.prepared.clear()
            await asyncio.sleep(0.7)  # until what left is let go of

        await rounds(4)
        gc.collect()
        files, tasks = await asyncio.to_thread(open_files), len(asyncio.all_tasks())
        gc.disable()
        try:
            await rounds(100)
            left = gc.collect()
        finally:
            gc.enable()
        # What is under way on a busy machine ends; what is left of each reload would not.
        for _ in range(SETTLING):
            if await asyncio.to_thread(open_files) <= files and len(asyncio.all_tasks()) <= tasks:
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError(f"{len(asyncio.all_tasks())} tasks instead of {tasks}: {asyncio.all_tasks()}")
        assert left < 5 * 100  # of canaries and asyncio's own; TLS contexts that stay would be far more
        await proxy.edge.stop()
        for server in (one, two):
            server.listener.close()

    run(scene)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def another_certificate(folder: Path) -> None:
    from haproxy_voip.embedded.certificate import write_certificate

    write_certificate(folder / "c", folder / "k", ["127.0.0.1"])


def test_nobody_asks_twice_what_was_not_answered_yet(run, heard, tmp_path, socket_path, text):
    async def scene():
        [one] = await servers(1)
        proxy = await Proxy(tmp_path, socket_path, heard).start(text(one.at))
        for _ in range(50):
            proxy.edge.ask_to_reload()
        await proxy.facts.until(Reloaded)
        await asyncio.sleep(0.05)
        assert len([fact for fact in proxy.facts if isinstance(fact, Reloaded)]) <= 2
        assert replace(proxy.edge.config) == proxy.edge.config
        await proxy.edge.stop()
        one.listener.close()

    run(scene)
