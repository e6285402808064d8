from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

import pytest

from haproxy_voip.configuration.kinds import PortRange
from haproxy_voip.configuration.model import (
    BackendConfig,
    Config,
    MediaConfig,
    ProxyConfig,
    SipConfig,
    TlsConfig,
)
from haproxy_voip.configuration.peers import BackendTlsConfig
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from haproxy_voip.edge import assemble
from haproxy_voip.edge.around import Around, BadUsers
from haproxy_voip.edge.assemble import Edge
from haproxy_voip.edge.control_client import request
from haproxy_voip.edge.facts import (
    Failed,
    Listening,
    MediaInKernel,
    Stopping,
    UsersNotRead,
    UsersRead,
)
from haproxy_voip.edge.listening import CannotListen
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.edge.tls import TlsError, server_context
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.effects import (
    CloseCanary,
    InstallStream,
    Left,
    OpenCanary,
    Probe,
    Reload,
    ReloadUsers,
    RemoveStream,
    Reply,
)
from haproxy_voip.proxy.events import (
    AskedToStop,
    BackendsSilent,
    CanaryClosed,
    CanaryOpened,
    Command,
    MediaFailed,
    MediaLatched,
    MediaPrints,
    MediaRefused,
    MediaReport,
    NamesMissing,
    ProbeRefused,
    ProbeReply,
    RelayInUse,
)
from haproxy_voip.rtp.fingerprint import Print
from haproxy_voip.rtp.flow import Party, StreamPlan

ANY = Address("127.0.0.1", 0)
LISTEN = tuple(Endpoint(transport, ANY) for transport in Transport)


@dataclass
class Node:
    """Echoes datagrams and stream data, hears the rest, and does what `to_do` says at its first wake."""

    heard: Any
    deadline: float | None = None
    to_do: list[object] = field(default_factory=list)
    users: tuple[str, dict] | None = None
    last_words: list[object] = field(default_factory=lambda: [Left()])

    def receive(self, event: object, now: float) -> list[object]:
        self.heard(event)
        match event:
            case Datagram(data, flow) | StreamData(data, flow):
                return [Send(flow, data)]
            case Command(number, "users-reload"):
                return [ReloadUsers(number)]
            case Command(number, "reload"):
                return [Reload(number)]
            case Command(number, name):
                return [Reply(number, {"name": name})]
            case AskedToStop():
                return self.last_words
        return []

    def wake(self, now: float) -> list[object]:
        self.deadline = None
        done, self.to_do = self.to_do, []
        return done

    def replace_users(self, realm, credentials):
        self.users = (realm, dict(credentials))


class Scene:
    """A started edge around that node."""

    def __init__(self, heard, config: Config, *to_do: object, **around: Any) -> None:
        self.events, self.facts = heard(), heard()
        self.node = Node(self.events, deadline=0.0 if to_do else None, to_do=list(to_do))
        self.edge = Edge(config, self.node, Around(readers=[self.facts], **around))

    async def __aenter__(self) -> Scene:
        await self.edge.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.edge.stop()

    def endpoint(self, transport: Transport) -> Endpoint:
        [found] = [endpoint for endpoint in self.edge.endpoints if endpoint.transport is transport]
        return found

    def do(self, *effects: object) -> None:
        self.edge.driver.act(lambda now: effects)


@pytest.fixture
def config(socket_path, certificates):
    def build(*backends: BackendConfig, listen=LISTEN, tls=True, relay="userspace") -> Config:
        pair = TlsConfig(certificate=certificates.certificate, key=certificates.key) if tls else None
        return Config(
            proxy=ProxyConfig(domain="voip.example", sip=SipConfig(listen=listen), tls=pair),
            backends=backends,
            media=MediaConfig(ports=PortRange(20000, 20099), relay=relay),
            control=socket_path,
        )

    return build


def test_all_listeners_serve_and_the_control_socket_answers(run, heard, config, socket_path):
    async def scene():
        async with Scene(heard, config()) as proxy:
            assert [fact.endpoint for fact in proxy.facts if isinstance(fact, Listening)] == proxy.edge.endpoints
            phone_heard = heard()
            phone = await UdpListener.bind(ANY, phone_heard)
            phone.send(proxy.endpoint(Transport.UDP).address, b"datagram")
            assert (await phone_heard.until(Datagram)).data == b"datagram"
            phone.close()
            for transport in (Transport.TCP, Transport.TLS):
                secure = transport is Transport.TLS
                reader, writer = await asyncio.open_connection(
                    *proxy.endpoint(transport).address, ssl=unverified() if secure else None
                )
                writer.write(b"stream")
                assert await reader.readexactly(6) == b"stream"
                writer.close()
            assert await asyncio.to_thread(request, socket_path, "status", {}) == {"name": "status"}

    run(scene)


def test_streams_are_opened_and_closed_as_the_node_says(run, heard, config):
    async def scene():
        backend_heard = heard()
        backend = Streams(backend_heard, heard())
        endpoint = backend.listen(Endpoint(Transport.TCP, ANY))
        flow = Flow(Transport.TCP, ANY, endpoint.address, 2)
        async with Scene(heard, config(), Open(flow), Send(flow, b"hello")) as proxy:
            assert (await backend_heard.until(StreamData)).data == b"hello"
            await proxy.events.until(StreamOpened)
            proxy.do(Close(flow))
            assert (await proxy.events.until(StreamClosed)).reason == "closed by us"
        await backend.stop()

    run(scene)


def test_tls_to_a_backend_uses_its_certificate_policy(run, heard, config, certificates):
    async def scene():
        backend = Streams(heard(), heard())
        context = server_context(TlsConfig(certificate=certificates.certificate, key=certificates.key))
        endpoint = backend.listen(Endpoint(Transport.TLS, ANY), context)
        known = BackendConfig(name="alpha", sip=endpoint, tls=BackendTlsConfig(ca=certificates.authority))
        flow = Flow(Transport.TLS, ANY, endpoint.address, 2)
        async with Scene(heard, config(known), Open(flow), OpenCanary("alpha")) as proxy:
            await proxy.events.until(StreamOpened)
            await proxy.events.until(CanaryOpened)
        await backend.stop()

    run(scene)


def test_probes_and_canaries_reach_the_backends(run, heard, config, free_udp_port):
    async def scene():
        backend_heard = heard()
        backend = await UdpListener.bind(ANY, backend_heard)
        alpha = BackendConfig(name="alpha", sip=backend.endpoint)
        beta = BackendConfig(name="beta", sip=Endpoint(Transport.UDP, free_udp_port))
        async with Scene(heard, config(alpha, beta), Probe("alpha", b"OPTIONS"), Probe("beta", b"OPTIONS")) as proxy:
            asked = await backend_heard.until(Datagram)
            assert asked.flow.remote.port != proxy.endpoint(Transport.UDP).address.port
            backend.send(asked.flow.remote, b"200")
            assert await proxy.events.until(ProbeReply) == ProbeReply("alpha", b"200")
            assert (await proxy.events.until(ProbeRefused)).backend == "beta"
            proxy.do(OpenCanary("alpha"))
            assert await proxy.events.until(CanaryClosed) == CanaryClosed("alpha", "connection refused")
            proxy.do(CloseCanary("alpha"))
        backend.close()

    run(scene)


def test_media_is_installed_and_reported_when_removed(run, heard, config):
    async def scene():
        first, second = (free_pair() for _ in range(2))
        plan = StreamPlan(1, "rtp", party(first), party(second), 1)
        async with Scene(heard, config(), InstallStream(plan)) as proxy:
            proxy.do(RemoveStream(1))
            report = await proxy.events.until(MediaReport)
            assert report.stream == 1 and report.client.packets == report.backend.packets == 0
            proxy.do(InstallStream(StreamPlan(2, "rtp", party(Address("192.0.2.1", 20000)), party(second), 1)))
            assert (await proxy.events.until(MediaFailed)).stream == 2

    run(scene)


@pytest.mark.parametrize("relay", ["userspace", "kernel"])
def test_the_node_knows_what_relays_media_before_it_is_asked(run, heard, config, socket_path, relay):
    async def scene():
        async with Scene(heard, config(relay=relay)) as proxy:
            assert [type(fact) is MediaInKernel for fact in proxy.facts].count(True) == (relay == "kernel")
            await asyncio.to_thread(request, socket_path, "status", {})
            assert list(proxy.events)[-3:] == [RelayInUse(relay, 0), NamesMissing(()), Command(1, "status")]

    run(scene)


def test_what_the_relay_tells_reaches_the_node(run, heard, config):
    async def scene():
        first, second = (free_pair() for _ in range(2))
        plan = StreamPlan(1, "rtp", party(first), party(second), 1)
        async with Scene(heard, config()) as proxy:
            proxy.do(InstallStream(plan))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.setblocking(False)
                phone.sendto(b"\x80" + bytes(171), first)  # from the host of its signalling
                assert (await proxy.events.until(MediaLatched)).side == "client"
            listener = proxy.edge._media_listener()
            listener.prints((Print(1, "client", 5, 0.1),), True)
            listener.silent((1,), 0.2)
            listener.refused(1, "backend")
            assert await proxy.events.until(MediaRefused) == MediaRefused(1, "backend")
            assert await proxy.events.until(MediaPrints) == MediaPrints((Print(1, "client", 5, 0.1),), True)
            assert await proxy.events.until(BackendsSilent) == BackendsSilent((1,), 0.2)

    run(scene)


def test_users_are_read_again_on_command(run, heard, config, socket_path):
    files: list[Any] = [("voip.example", {"1001": None})]

    def read_users():
        if not files:
            raise BadUsers("users.yaml:1: nonsense")
        return files.pop()

    async def scene():
        async with Scene(heard, config(), read_users=read_users) as proxy:
            answer = await asyncio.to_thread(request, socket_path, "users-reload", {})
            assert answer == {"ok": True, "users": 1}
            assert proxy.node.users == ("voip.example", {"1001": None})
            assert (await proxy.facts.until(UsersRead)).users == 1
            answer = await asyncio.to_thread(request, socket_path, "users-reload", {})
            assert answer == {"error": "users file not taken over: users.yaml:1: nonsense"}
            assert proxy.node.users == ("voip.example", {"1001": None})
            await proxy.facts.until(UsersNotRead)

    run(scene)


def test_an_exception_that_nobody_waits_for_is_told(run, heard, config):
    async def scene():
        async with Scene(heard, config()) as proxy:
            loop = asyncio.get_running_loop()
            proxy.edge.unexpected(
                loop, {"message": "Task exception was never retrieved", "exception": ValueError("oops")}
            )
            proxy.edge.unexpected(loop, {"message": "something odd"})
            first, second = (fact for fact in proxy.facts if isinstance(fact, Failed))
            assert "ValueError: oops" in str(first) and "something odd" in str(second)

    run(scene)


def test_without_a_users_file_there_is_nothing_to_read(run, heard, config, socket_path):
    async def scene():
        async with Scene(heard, config()):
            answer = await asyncio.to_thread(request, socket_path, "users-reload", {})
            assert "names no users file" in answer["error"]

    run(scene)


def test_a_datagram_for_a_listener_that_is_not_there_is_counted(run, heard, config):
    async def scene():
        nowhere = Flow(Transport.UDP, Address("127.0.0.1", 1), ANY)
        async with Scene(heard, config()) as proxy:
            proxy.do(Send(nowhere, b"lost"))
            assert proxy.edge.unsent == 1 and proxy.edge.driver.failures == 0

    run(scene)


def test_what_cannot_start_leaves_nothing_open(run, heard, config, socket_path):
    async def scene():
        taken = await UdpListener.bind(ANY, heard())
        with pytest.raises(CannotListen, match="another program listens"):
            await assemble.run(config(listen=(LISTEN[1], taken.endpoint)), Node(heard()), Around())
        taken.close()

    run(scene)
    assert not socket_path.exists()


def test_a_certificate_that_does_not_fit_is_told(run, heard, config, certificates):
    async def scene():
        built = config()
        wrong = TlsConfig(certificate=certificates.certificate, key=certificates.other_key)
        proxy = ProxyConfig(domain="voip.example", sip=built.proxy.sip, tls=wrong)
        with pytest.raises(TlsError):
            await assemble.run(Config(proxy=proxy, backends=(), control=built.control), Node(heard()), Around())

    run(scene)


def test_it_runs_until_it_is_told_to_stop(run, heard, config, socket_path):
    async def scene():
        facts = heard()
        node = Node(heard())
        around = Around(readers=[facts], ready=lambda: os.kill(os.getpid(), signal.SIGTERM))
        await assemble.run(config(), node, around)
        assert facts[-1] == Stopping("SIGTERM")

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        run(scene)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert not socket_path.exists()


def party(local: Address) -> Party:
    return Party(local=local, remote=None, remote_rtcp=None, signalling_host="127.0.0.1", mux=False, receives=True)


def free_pair() -> Address:
    """An even port with a free one above it."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
        ):
            rtp.bind(ANY)
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                try:
                    rtcp.bind(("127.0.0.1", port + 1))
                except OSError:
                    continue
                return Address("127.0.0.1", port)


def unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_before_the_end_the_node_says_what_it_must_and_is_not_waited_for_too_long(run, heard, config, monkeypatch):
    async def scene():
        async with Scene(heard, config()) as proxy:
            await asyncio.wait_for(proxy.edge.take_leave(), 1.0)
            proxy.node.last_words = []
            monkeypatch.setattr(assemble, "LEAVE_SECONDS", 0.01 - proxy.edge.config.proxy.stop_after)
            proxy.edge._left.clear()
            await asyncio.wait_for(proxy.edge.take_leave(), 1.0)

    run(scene)
