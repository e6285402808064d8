from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from haproxy_voip.configuration.load import load
from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.edge.chat import Chat, tell_encrypted
from haproxy_voip.edge.chat_tls import chat_tls, end_point_binding
from haproxy_voip.edge.driver import Driver
from haproxy_voip.edge.tcp import StreamLimits, Streams
from haproxy_voip.proxy.effects import OpenCanary, PauseReading, ProbeStream, Reset, ResumeReading, StartTls
from haproxy_voip.proxy.events import CanaryOpened, StreamProbeReply, TlsStarted

CHAT = """
proxy:
  domain: pbx.example
  tls: {{certificate: {certificate}, key: {key}}}
  xmpp:
    listen: ["tcp:127.0.0.9:5222", "tls:127.0.0.9:5223"]
backends:
  alpha: {{xmpp: "tcp:127.0.0.1:{port}", tls: {{ca: {authority}}}}}
"""


class Silent:
    """A node that only listens."""

    deadline = None

    def __init__(self, heard):
        self.heard = heard

    def receive(self, event, now):
        self.heard(event)
        return []

    def wake(self, now):
        return []


class Site:
    """The chat edge of one node; what its node hears is in `heard`."""

    @classmethod
    async def make(cls, heard, certificates, folder: Path, port: int = 5299, limits=None):
        def read():
            path = folder / "haproxy_voip.yaml"
            names = {name: getattr(certificates, name) for name in ("certificate", "key", "authority")}
            path.write_text(CHAT.format(port=port, **names))
            config = load(path)
            listen = tuple(each._replace(address=Address("127.0.0.1", 0)) for each in config.proxy.xmpp.listen)
            xmpp = replace(config.proxy.xmpp, listen=listen)  # ports that the kernel chooses
            return replace(config, proxy=replace(config.proxy, xmpp=xmpp)), chat_tls(config)

        return cls(heard, limits, *(await asyncio.to_thread(read)))

    def __init__(self, heard, limits, config, tls):
        self.tls = tls
        self.heard = heard()
        self.driver = Driver(Silent(self.heard), [heard()])
        told = tell_encrypted(self.tls, self.driver.receive)
        self.streams = Streams(self.driver.receive, self.driver.tell, limits, None, told)
        self.chat = Chat(config, self.tls, self.streams, self.driver)
        self.tcp, self.direct = (
            self.streams.listen(one, tls.server.context if one.transport is Transport.TLS else None, True).address
            for one in config.proxy.xmpp.listen
        )
        self.driver.on(Send, lambda effect: self.streams.send(effect.flow, effect.data))
        self.driver.on(Open, lambda effect: self.streams.open(effect.flow))
        self.driver.on(Close, lambda effect: self.streams.close(effect.flow))

    def do(self, *effects):
        self.driver.act(lambda now: effects)

    async def stop(self):
        await self.chat.stop()
        await self.streams.stop()


@pytest.fixture
def trusting(certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.authority)
    context.set_alpn_protocols(["xmpp-client"])
    return context


def test_starttls_encrypts_after_what_was_sent_before_it(run, heard, certificates, tmp_path, trusting):
    async def scene():
        site = await Site.make(heard, certificates, tmp_path)
        reader, writer = await asyncio.open_connection(*site.tcp)
        flow = (await site.heard.until(StreamOpened)).flow
        writer.write(b"<starttls/>")
        await site.heard.until(StreamData)
        site.do(Send(flow, b"<proceed/>"), StartTls(flow), Send(flow, b"after"))
        assert await reader.readexactly(10) == b"<proceed/>"
        await writer.start_tls(trusting, server_hostname="pbx.example")
        writer.write(b"secret")
        assert await reader.readexactly(5) == b"after"
        started = await site.heard.until(TlsStarted)
        shown = await asyncio.to_thread(end_point_binding, certificates.certificate)
        assert started == TlsStarted(flow, shown, "pbx.example")
        await site.heard.until(StreamData, 2)
        assert [type(event) for event in site.heard] == [StreamOpened, StreamData, TlsStarted, StreamData]
        assert site.heard[-1].data == b"secret"
        site.do(Close(flow))
        assert await reader.read() == b""
        writer.close()
        await site.heard.until(StreamClosed)
        await site.stop()

    run(scene)


def test_a_client_that_does_not_speak_tls_after_proceed_is_closed_and_told_once(run, heard, certificates, tmp_path):
    async def scene():
        site = await Site.make(heard, certificates, tmp_path)
        _, writer = await asyncio.open_connection(*site.tcp)
        flow = (await site.heard.until(StreamOpened)).flow
        site.do(StartTls(flow))
        writer.write(b"<auth>this is no ClientHello</auth>" * 10)
        closed = await site.heard.until(StreamClosed)
        assert closed.flow == flow and closed.reason.startswith("TLS: ")
        writer.close()
        await site.stop()
        assert [type(event) for event in site.heard] == [StreamOpened, StreamClosed]

    run(scene)


def test_a_stream_closed_in_the_middle_of_its_handshake_ends_once(run, heard, certificates, tmp_path):
    async def scene():
        site = await Site.make(heard, certificates, tmp_path)
        reader, writer = await asyncio.open_connection(*site.tcp)
        flow = (await site.heard.until(StreamOpened)).flow
        site.do(StartTls(flow), StartTls(flow))
        await asyncio.sleep(0)
        site.do(Close(flow), StartTls(flow))
        await site.heard.until(StreamClosed)
        assert await reader.read() == b""
        writer.close()
        await site.stop()
        assert [type(event) for event in site.heard] == [StreamOpened, StreamClosed]

    run(scene)


def test_direct_tls_is_told_before_anything_that_comes_encrypted(run, heard, certificates, tmp_path, trusting):
    async def scene():
        site = await Site.make(heard, certificates, tmp_path)
        _, writer = await asyncio.open_connection(*site.direct, ssl=trusting, server_hostname="pbx.example")
        writer.write(b"hello")
        await site.heard.until(StreamData)
        assert [type(event) for event in site.heard] == [StreamOpened, TlsStarted, StreamData]
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "xmpp-client"
        writer.close()
        await site.heard.until(StreamClosed)
        await site.stop()

    run(scene)


def test_our_own_stream_becomes_tls_where_the_backends_certificate_is_good(run, heard, certificates, tmp_path):
    async def scene():
        backend = await Site.make(heard, certificates, tmp_path)
        site = await Site.make(heard, certificates, tmp_path, backend.direct.port)
        for connection, name in ((2, "pbx.example"), (4, "else.example")):
            flow = Flow(Transport.TCP, Address("0.0.0.0", 0), backend.direct, connection)
            site.do(Open(flow))
            await site.heard.until(StreamOpened, connection // 2)
            site.do(StartTls(flow, name))
        assert await site.heard.until(TlsStarted) == TlsStarted(flow._replace(connection=2), None, None)
        closed = await site.heard.until(StreamClosed)
        assert closed.flow == flow and closed.reason.startswith("certificate not accepted")
        await site.stop()
        await backend.stop()

    run(scene)


def test_a_reset_is_seen_as_one_and_pauses_hold_back_what_comes(run, heard, certificates, tmp_path):
    async def scene():
        site = await Site.make(heard, certificates, tmp_path)
        reader, writer = await asyncio.open_connection(*site.tcp)
        flow = (await site.heard.until(StreamOpened)).flow
        site.do(PauseReading(flow), PauseReading(flow))
        writer.write(b"hello")
        await writer.drain()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(site.heard) == 1
        site.do(ResumeReading(flow), ResumeReading(flow))
        await site.heard.until(StreamData)
        site.do(Reset(flow))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await site.heard.until(StreamClosed)
        site.do(Reset(flow), PauseReading(flow), ResumeReading(flow), StartTls(flow))  # it is gone: nothing happens
        writer.close()
        await site.stop()

    run(scene)


def test_a_chat_client_that_has_spoken_may_be_silent_for_ever(run, heard, certificates, tmp_path):
    async def scene():
        limits = StreamLimits(first_bytes=0.05, idle=0.05, sweep=0.02)
        site = await Site.make(heard, certificates, tmp_path, limits=limits)
        _, writer = await asyncio.open_connection(*site.tcp)
        talker = (await site.heard.until(StreamOpened)).flow
        writer.write(b"<stream>")
        await site.heard.until(StreamData)
        mute_reader, mute = await asyncio.open_connection(*site.tcp)
        assert await mute_reader.read() == b""  # it never said anything
        assert site.streams.of(talker) is not None
        mute.close()
        writer.close()
        await site.heard.until(StreamClosed, 2)
        await site.stop()

    run(scene)


def test_backends_are_probed_and_watched(run, heard, certificates, tmp_path):
    async def scene():
        backend = await Site.make(heard, certificates, tmp_path)
        site = await Site.make(heard, certificates, tmp_path, backend.tcp.port)
        site.chat.canaries.open(OpenCanary("alpha", "xmpp"))
        assert await site.heard.until(CanaryOpened) == CanaryOpened("alpha", "xmpp")
        site.do(ProbeStream("alpha", 3, b"<stream>"))
        asked = await backend.heard.until(StreamData)
        backend.do(Send(asked.flow, b"<stream>"))
        assert await site.heard.until(StreamProbeReply) == StreamProbeReply("alpha", 3)
        await site.stop()
        await backend.stop()

    run(scene)
