"""Everything at the edge of one node, put together and run until somebody asks it to stop."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import Mapping
from typing import Any

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Endpoint, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.edge.around import Around, BadUsers, ProxyNode
from haproxy_voip.edge.canary import Canaries
from haproxy_voip.edge.chat import Chat, tell_encrypted
from haproxy_voip.edge.chat_tls import ChatTls, chat_tls
from haproxy_voip.edge.connecting import Target
from haproxy_voip.edge.control import ControlServer
from haproxy_voip.edge.driver import Driver
from haproxy_voip.edge.facts import AskedToReload, Failed, Listening, Stopping, UsersNotRead, UsersRead
from haproxy_voip.edge.media_start import KernelMedia, open_kernel
from haproxy_voip.edge.media_userspace import Listener as MediaListener
from haproxy_voip.edge.media_userspace import MediaRelay
from haproxy_voip.edge.probes import Probes
from haproxy_voip.edge.signals import Signals
from haproxy_voip.edge.tcp import StreamLimits, Streams
from haproxy_voip.edge.tls import ClientTls, client_tls, server_context
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.effects import (
    CloseCanary,
    InstallStream,
    LookForReply,
    OpenCanary,
    Probe,
    ReloadUsers,
    RemoveStream,
    Reply,
    StirCanary,
)
from haproxy_voip.proxy.events import (
    BackendsSilent,
    Command,
    Looked,
    MediaFailed,
    MediaLatched,
    MediaPrints,
    MediaRefused,
    MediaReport,
    NodeEvent,
    RelayInUse,
)

# A probe's or a canary's connection to a host that drops packets; a SYN is sent again after 1 s (tcp(7)).
CONNECT_TIMEOUT = 2.0


async def run(config: Config, node: ProxyNode, around: Around) -> None:
    """Run the node until SIGTERM or SIGINT.

    Raises CannotListen, CannotRelay or TlsError when it cannot start; then nothing is left open.
    """
    edge = Edge(config, node, around)
    asyncio.get_running_loop().set_exception_handler(edge.unexpected)
    signals = Signals(edge.ask_to_stop, edge.ask_to_reload)
    try:
        await edge.start()
        around.ready()
        await edge.asked_to_stop.wait()
    finally:
        signals.close()
        await edge.stop()


class Edge:
    """The sockets of one node and the driver between them and the node."""

    def __init__(self, config: Config, node: ProxyNode, around: Around) -> None:
        self.driver: Driver[NodeEvent, Any] = Driver(node, around.readers)
        self.control = ControlServer(self._command)
        self.asked_to_stop = asyncio.Event()
        self.endpoints: list[Endpoint] = []  # what we listen on, with real ports
        self.unsent = 0  # datagrams for a listener that is not there
        self._config = config
        self._node = node
        self._read_file = around.read_users
        self._udp: dict[Address, UdpListener] = {}
        self._streams: Streams | None = None
        self._probes: Probes | None = None
        self._canaries: Canaries | None = None
        self._kernel: KernelMedia | None = None
        self._chat: Chat | None = None
        self._media: MediaRelay | None = None
        self._reading_users: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen everywhere, then let the node begin. On an error call `stop`."""
        config, driver = self._config, self.driver
        loop = asyncio.get_running_loop()
        # Reading certificates blocks.
        context, peers, chat = await loop.run_in_executor(None, _contexts, config)
        limits = StreamLimits(connections=config.limits.max_connections)
        self._streams = Streams(driver.receive, driver.tell, limits, peers, tell_encrypted(chat, driver.receive))
        targets = {name: self._target(endpoint, peers) for name, endpoint in config.sip_endpoints.items()}
        self._probes = Probes(targets, driver.receive)
        self._canaries = Canaries(targets, driver.receive)
        if chat is not None:
            self._chat = Chat(config, chat, self._streams, driver)
        self._carry_out(self._streams, self._probes, self._canaries)
        await self.control.claim(config.control)
        # The name of the kernel's part hangs on that socket, which is ours by now. Loading it blocks.
        self._kernel = await loop.run_in_executor(None, open_kernel, config)
        self._kernel.take_over(driver.receive)
        self._media = MediaRelay(loop, self._media_listener(), self._kernel.kernel)
        for fact in self._kernel.facts:
            driver.tell(fact)
        for endpoint in config.proxy.sip.listen:
            await self._listen(endpoint, self._streams, context)
        for real in self._chat.listen() if self._chat is not None else ():
            self._listens(real)
        self._kernel.serving = True
        driver.start()
        await self.control.serve()

    async def stop(self) -> None:
        """Take nothing more, let what was sent leave, close everything."""
        self.driver.stop()
        for reading in self._reading_users:
            reading.cancel()
        await self.control.close()
        for listener in self._udp.values():
            listener.close()
        for part in (self._chat, self._probes, self._canaries, self._streams):
            if part is not None:
                await part.stop()
        if self._media is not None:
            self._media.close()
        if self._kernel is not None:
            await self._kernel.close()

    def ask_to_stop(self, reason: str) -> None:
        """Begin the end."""
        self.driver.tell(Stopping(reason))
        self.asked_to_stop.set()

    def unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """For `loop.set_exception_handler`: an exception in a task or callback that nobody waits for."""
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error is not None else ""
        self.driver.tell(Failed(str(context.get("message", "working")), text))

    def ask_to_reload(self) -> None:
        """SIGHUP: so far only the users file is read again."""
        self.driver.tell(AskedToReload())
        self.control.ask("users-reload", {}, lambda result: None)

    def _command(self, command: Command) -> None:
        """Somebody asks something; what the answer may need is told before."""
        if self._media is not None and self._kernel is not None:
            relay = "userspace" if self._kernel.kernel is None else "kernel"
            self.driver.receive(RelayInUse(relay, self._media.kernel_flows + self._kernel.inherited))
        self.driver.receive(command)

    # -- putting together ---------------------------------------------------------------------------

    def _target(self, endpoint: Endpoint, peers: Mapping[Address, ClientTls]) -> Target:
        transport, address = endpoint
        local = next(
            (
                listener.address.host
                for listener in self._config.proxy.sip.listen
                if listener.transport is transport and listener.address.family == address.family
            ),
            "0.0.0.0",
        )
        return Target(endpoint, local, peers.get(address), CONNECT_TIMEOUT)

    def _media_listener(self) -> MediaListener:
        receive = self.driver.receive
        return MediaListener(
            latched=lambda stream, side, source: receive(MediaLatched(stream, side, source)),
            failed=lambda stream, reason: receive(MediaFailed(stream, reason)),
            refused=lambda stream, side: receive(MediaRefused(stream, side)),
            prints=lambda prints, complete: receive(MediaPrints(prints, complete)),
            silent=lambda streams, since: receive(BackendsSilent(streams, since)),
        )

    def _carry_out(self, streams: Streams, probes: Probes, canaries: Canaries) -> None:
        on = self.driver.on
        on(Send, self._send)
        on(Open, lambda effect: streams.open(effect.flow))
        on(Close, lambda effect: streams.close(effect.flow))
        on(Probe, probes.send)
        on(LookForReply, self._look_for_reply)
        of_service = {"sip": canaries}
        if self._chat is not None:
            of_service["xmpp"] = self._chat.canaries
        on(OpenCanary, lambda effect: of_service[effect.service].open(effect))
        on(StirCanary, canaries.stir)
        on(CloseCanary, lambda effect: of_service[effect.service].close(effect))
        on(InstallStream, self._install)
        on(RemoveStream, self._remove)
        on(Reply, self.control.reply)
        on(ReloadUsers, self._reload_users)

    async def _listen(self, endpoint: Endpoint, streams: Streams, context: ssl.SSLContext | None) -> None:
        if endpoint.transport is Transport.UDP:
            listener = await UdpListener.bind(endpoint.address, self.driver.receive)
            # The node says where it sends from in the words of the configuration.
            self._udp[endpoint.address] = self._udp[listener.local] = listener
            real = listener.endpoint
        else:
            real = streams.listen(endpoint, context if endpoint.transport is Transport.TLS else None)
        self._listens(real)

    def _listens(self, endpoint: Endpoint) -> None:
        self.endpoints.append(endpoint)
        self.driver.tell(Listening(endpoint))

    # -- effects ------------------------------------------------------------------------------------

    def _send(self, effect: Send) -> None:
        flow = effect.flow
        if flow.connection:
            assert self._streams is not None
            self._streams.send(flow, effect.data)
            return
        listener = self._udp.get(flow.local)
        if listener is None:
            self.unsent += 1
        else:
            listener.send(flow.remote, effect.data)

    def _look_for_reply(self, effect: LookForReply) -> None:
        """Between two turns of the loop every socket is read: the first may be the one we are in."""
        loop = asyncio.get_running_loop()
        looked = Looked(effect.backend, effect.number, effect.service)
        loop.call_soon(loop.call_soon, lambda: loop.call_soon(self.driver.receive, looked))

    def _install(self, effect: InstallStream) -> None:
        assert self._media is not None
        self._media.install(effect.plan)

    def _remove(self, effect: RemoveStream) -> None:
        assert self._media is not None
        counters = self._media.remove(effect.stream)
        self.driver.receive(MediaReport(effect.stream, counters.client, counters.backend))

    def _reload_users(self, effect: ReloadUsers) -> None:
        reading = asyncio.get_running_loop().create_task(self._read_users(effect.command))
        self._reading_users.add(reading)
        reading.add_done_callback(self._reading_users.discard)

    async def _read_users(self, command: int) -> None:
        try:
            realm, credentials = await asyncio.get_running_loop().run_in_executor(None, self._read_file)
        except BadUsers as error:
            self.driver.tell(UsersNotRead(str(error)))
            self.control.reply(Reply(command, {"error": f"users file not taken over: {error}"}))
            return

        def replace(now: float) -> tuple[()]:
            self._node.replace_users(realm, credentials)
            return ()

        self.driver.act(replace)
        self.driver.tell(UsersRead(len(credentials)))
        self.control.reply(Reply(command, {"ok": True, "users": len(credentials)}))


def _contexts(config: Config) -> tuple[ssl.SSLContext | None, dict[Address, ClientTls], ChatTls | None]:
    peers = {
        backend.sip.address: client_tls(backend)
        for backend in config.backends
        if backend.sip is not None and backend.sip.transport is Transport.TLS
    }
    tls = config.proxy.tls
    return (server_context(tls) if tls is not None else None), peers, chat_tls(config)
