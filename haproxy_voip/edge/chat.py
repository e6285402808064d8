"""Chat at the edge: listeners, TLS that begins in the middle of a stream, resets, pauses, probes and canaries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Endpoint, Flow, Transport
from haproxy_voip.edge.canary import Canaries
from haproxy_voip.edge.chat_tls import ChatTls, ClientSide
from haproxy_voip.edge.connecting import Target
from haproxy_voip.edge.deep_probes import DeepProbes, deep_targets
from haproxy_voip.edge.driver import Driver
from haproxy_voip.edge.stream import Stream
from haproxy_voip.edge.stream_probes import StreamProbes
from haproxy_voip.edge.tcp import Streams
from haproxy_voip.edge.tls import ClientTls
from haproxy_voip.proxy.effects import PauseReading, ProbeDeeply, ProbeStream, Reset, ResumeReading, StartTls
from haproxy_voip.proxy.events import NodeEvent, TlsStarted

# To finish a TLS handshake, seconds: as long as SIP's clients have.
HANDSHAKE_SECONDS = 5.0
# For probes and canaries to connect: longer than a SYN is sent again after (tcp(7)).
CONNECT_SECONDS = 2.0


class Chat:
    """Everything for chat that is not in `streams`. Effects are carried out for `driver`'s node."""

    def __init__(self, config: Config, tls: ChatTls, streams: Streams, driver: Driver[NodeEvent, Any]) -> None:
        self._tls = tls
        self._streams = streams
        self._handshakes: set[asyncio.Task[None]] = set()
        self.canaries = Canaries({}, driver.receive, "xmpp")
        self.probes = StreamProbes({}, driver.receive)
        self._deep_probes = DeepProbes(driver.receive, driver.tell)
        self.aim(config)
        driver.on(ProbeStream, self.probes.send)
        driver.on(ProbeDeeply, self._deep_probes.send)
        driver.on(StartTls, self.start_tls)
        driver.on(Reset, lambda effect: self._act(effect.flow, Stream.reset))
        driver.on(PauseReading, lambda effect: self._act(effect.flow, Stream.pause_reading))
        driver.on(ResumeReading, lambda effect: self._act(effect.flow, Stream.resume_reading))

    def aim(self, config: Config) -> None:
        """Probe these backends as well."""
        endpoints, domain = config.xmpp_endpoints, config.chat_domains[0]
        self.canaries.aim({name: _plain(each) for name, each in endpoints.items()})
        self.probes.aim(
            {name: _secure(each, self._tls.backends[each.address], domain) for name, each in endpoints.items()}
        )
        self._deep_probes.aim(deep_targets(config))

    def reconfigure(self, config: Config, tls: ChatTls) -> None:
        """This is in force from now on; backends that leave are probed on."""
        leaving = [
            endpoint.address for name, endpoint in self.probes.endpoints.items() if name not in config.xmpp_endpoints
        ]
        self._tls.follow(tls, leaving)
        self.aim(config)

    def forget(self, backend: str) -> Coroutine[Any, Any, None]:
        """It is gone; what is open to it is closed when this is awaited."""
        self.canaries.forget(backend)
        self._deep_probes.forget(backend)
        return self.probes.forget(backend)

    def start_tls(self, effect: StartTls) -> None:
        """Encrypt; TlsStarted or StreamClosed follows."""
        stream = self._streams.of(effect.flow)
        if stream is None:
            return
        if stream.accepted:
            server = self._tls.server
            context, name = (None if server is None else server.context), None
        else:
            side = self._tls.backends[effect.flow.remote]
            context, name = side.context, side.name or effect.server_name
        if context is None:
            stream.fail("no certificate is configured")
            return
        stream.pause_reading()
        handshake = asyncio.get_running_loop().create_task(stream.start_tls(context, name, HANDSHAKE_SECONDS))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    async def stop(self) -> None:
        """Wait for no handshake and for no probe any more."""
        for handshake in self._handshakes:
            handshake.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        await self.probes.stop()
        await self._deep_probes.stop()
        await self.canaries.stop()

    def _act(self, flow: Flow, act: Callable[[Stream], None]) -> None:
        """What has ended meanwhile needs nothing any more."""
        stream = self._streams.of(flow)
        if stream is not None:
            act(stream)


def tell_encrypted(tls: ChatTls | None, receive: Callable[[TlsStarted], None]) -> Callable[[Flow, ssl.SSLObject], None]:
    """What tells the node of finished handshakes on chat streams, and on no others."""

    def encrypted(flow: Flow, handshake: ssl.SSLObject) -> None:
        if tls is None:
            return
        if flow.connection % 2 == 0:
            if flow.remote in tls.backends:
                receive(TlsStarted(flow, None, None))
        elif tls.server is not None:
            shown = tls.server.shown(handshake)
            if shown is not None:
                receive(TlsStarted(flow, shown.binding, shown.domain))

    return encrypted


def _plain(endpoint: Endpoint) -> Target:
    """For canaries: a connection on which nothing is ever said, so neither is TLS."""
    return Target(endpoint, "0.0.0.0", timeout=CONNECT_SECONDS)


def _secure(endpoint: Endpoint, side: ClientSide, domain: str) -> Target:
    """For probes, which speak as sessions do, but for STARTTLS: the answer to a stream header comes before that."""
    tls = ClientTls(side.context, side.name or domain) if endpoint.transport is Transport.TLS else None
    return Target(endpoint, "0.0.0.0", tls, CONNECT_SECONDS)
