"""Everything at the edge of one node, put together and run until somebody asks it to stop."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haproxy_voip.configuration.changes import Departing
from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Endpoint
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.edge.around import Around, BadConfiguration, BadUsers, Known, ProxyNode
from haproxy_voip.edge.canary import Canaries
from haproxy_voip.edge.chat import Chat, tell_encrypted
from haproxy_voip.edge.contexts import Contexts, contexts_of, targets_of
from haproxy_voip.edge.control import ControlServer
from haproxy_voip.edge.driver import Driver
from haproxy_voip.edge.facts import AskedToReload, Failed, Stopping, UsersNotRead, UsersRead
from haproxy_voip.edge.lag import LagMeter
from haproxy_voip.edge.listeners import Listeners, Wanted
from haproxy_voip.edge.media_start import KernelMedia, open_kernel
from haproxy_voip.edge.media_userspace import Listener as MediaListener
from haproxy_voip.edge.media_userspace import MediaRelay
from haproxy_voip.edge.probes import Probes
from haproxy_voip.edge.reload import Reloader
from haproxy_voip.edge.signals import Signals
from haproxy_voip.edge.tcp import StreamLimits, Streams
from haproxy_voip.edge.tls import ClientTls
from haproxy_voip.edge.udp import UdpListener
from haproxy_voip.proxy.effects import (
    CloseCanary,
    CloseListener,
    ForgetBackend,
    InstallStream,
    Left,
    LookForReply,
    OpenCanary,
    Probe,
    Reload,
    ReloadUsers,
    RemoveStream,
    Reply,
    StirCanary,
)
from haproxy_voip.proxy.events import (
    AskedToStop,
    BackendsSilent,
    Command,
    Looked,
    MediaFailed,
    MediaLatched,
    MediaPrints,
    MediaRefused,
    MediaReport,
    NamesMissing,
    NodeEvent,
    Reconfigured,
    RelayInUse,
)

# Beyond `proxy.stop_after`, for a node that does not say `Left`: it does within three.
LEAVE_SECONDS = 5.0


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
        await edge.take_leave()
    finally:
        signals.close()
        await edge.stop()


class Edge:
    """The sockets of one node and the driver between them and the node."""

    def __init__(self, config: Config, node: ProxyNode, around: Around) -> None:
        self.driver: Driver[NodeEvent, Any] = Driver(node, around.readers)
        self.control = ControlServer(self._command)
        self.asked_to_stop = asyncio.Event()
        self._left = asyncio.Event()  # what is to be said before the end was said
        self._signal = ""  # that asked to stop
        self._media_stay = False  # in the kernel, when the process ends
        self.unsent = 0  # datagrams for a listener that is not there
        self.config = config  # in force
        self._node = node
        self._read_file = around.read_users
        self._peers: dict[Address, ClientTls] = {}
        self._files: Mapping[Path, bytes] = {}  # certificates that are in use, and a digest of each
        self._asked_to_reload = False  # by a signal, and not begun yet
        self._udp: dict[Address, UdpListener] = {}
        self._listeners: Listeners | None = None
        self._streams: Streams | None = None
        self._probes: Probes | None = None
        self._canaries: Canaries | None = None
        self._kernel: KernelMedia | None = None
        self._chat: Chat | None = None
        self._media: MediaRelay | None = None
        self._lag = LagMeter(lambda: set(self._udp.values()), self.driver.receive)
        self._reloader = Reloader(self, around, self.driver)
        self._errands: set[asyncio.Task[None]] = set()  # what takes more than one turn
        self._closing: list[asyncio.Task[None]] = []  # the same, and must come to its end

    @property
    def endpoints(self) -> list[Endpoint]:
        """What we listen on, with real ports."""
        return [] if self._listeners is None else self._listeners.endpoints

    async def start(self) -> None:
        """Listen everywhere, then let the node begin. On an error call `stop`."""
        config, driver = self.config, self.driver
        loop = asyncio.get_running_loop()
        # Reading certificates blocks.
        contexts = await loop.run_in_executor(None, contexts_of, config)
        peers, chat = contexts.peers, contexts.chat
        limits = StreamLimits(connections=config.limits.max_connections)
        self._streams = Streams(driver.receive, driver.tell, limits, peers, tell_encrypted(chat, driver.receive))
        self._listeners = Listeners(driver.receive, driver.tell, self._streams)
        self._udp = self._listeners.udp
        targets = targets_of(config, peers)
        self._probes = Probes(targets, driver.receive)
        self._canaries = Canaries(targets, driver.receive)
        if chat is not None:
            self._chat = Chat(config, chat, self._streams, driver)
        self._files, self._peers = contexts.files, peers
        self._carry_out(self._streams, self._probes, self._canaries)
        await self.control.claim(config.control)
        # The name of the kernel's part hangs on that socket, which is ours by now. Loading it blocks.
        self._kernel = await loop.run_in_executor(None, open_kernel, config)
        self._kernel.take_over(driver.receive)
        self._media = MediaRelay(loop, self._media_listener(), self._kernel.kernel)
        for fact in self._kernel.facts:
            driver.tell(fact)
        await self._listeners.open(config, contexts.shown)
        self._kernel.serving = True
        driver.start()
        self._lag.start()
        self._reloader.start()
        await self.control.serve()

    async def stop(self) -> None:
        """Take nothing more, let what was sent leave, close everything."""
        stay = self._media_stay and self._kernel_flows > 0
        self.driver.stop()
        self._lag.stop()
        await self._reloader.stop()
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, *self._closing, return_exceptions=True)
        await self.control.close()
        if self._listeners is not None:
            self._listeners.stop()
        for part in (self._chat, self._probes, self._canaries, self._streams):
            if part is not None:
                await part.stop()
        if self._media is not None:
            self._media.close(stay)
        if self._kernel is not None:
            await self._kernel.close(stay)

    def ask_to_stop(self, name: str) -> None:
        """Begin the end: this signal came."""
        self.driver.tell(Stopping(name))
        self._signal = name
        self.asked_to_stop.set()

    async def take_leave(self) -> None:
        """Let the node end what it has to end, and say so to others."""
        self._tell_relay()
        self.driver.receive(AskedToStop(self._signal))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), self.config.proxy.stop_after + LEAVE_SECONDS)

    def unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """For `loop.set_exception_handler`: an exception in a task or callback that nobody waits for."""
        error = context.get("exception")
        text = "".join(traceback.format_exception(error)) if error is not None else ""
        self.driver.tell(Failed(str(context.get("message", "working")), text))

    def ask_to_reload(self) -> None:
        """SIGHUP. What comes of it stands in the log."""
        self.driver.tell(AskedToReload())
        if not self._asked_to_reload:  # one that waits will read what is there by then
            self._asked_to_reload = True
            self.control.ask("reload", {}, lambda result: None)

    def _command(self, command: Command) -> None:
        """Somebody asks something; what the answer may need is told before."""
        self._tell_relay()
        self.driver.receive(command)

    def _tell_relay(self) -> None:
        if self._kernel is not None:
            relay = "userspace" if self._kernel.kernel is None else "kernel"
            self.driver.receive(RelayInUse(relay, self._kernel_flows))
        self.driver.receive(NamesMissing(self._reloader.missing))

    @property
    def _kernel_flows(self) -> int:
        """Those of an earlier process included."""
        ours = 0 if self._media is None else self._media.kernel_flows
        return ours + (0 if self._kernel is None else self._kernel.inherited)

    # -- putting together ---------------------------------------------------------------------------

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
        on(Left, self._leave)
        on(ReloadUsers, lambda effect: self._run(self._read_users(effect.command)))
        on(Reload, lambda effect: self._run(self._reload(effect)))
        on(ForgetBackend, self._forget)
        on(CloseListener, lambda effect: self._run(self._close_listener(effect)))

    # -- another configuration ----------------------------------------------------------------------

    @property
    def departing(self) -> Departing:
        """The backends that were removed and are not gone."""
        probed = {} if self._probes is None else self._probes.endpoints
        chat = {} if self._chat is None else self._chat.probes.endpoints
        return Departing(_without(probed, self.config.sip_endpoints), _without(chat, self.config.xmpp_endpoints))

    async def prepare(self, config: Config) -> Prepared:
        """Read its certificates and listen where it says. Raises TlsError or CannotListen."""
        assert self._listeners is not None
        contexts = await asyncio.to_thread(contexts_of, config)
        opened = await self._listeners.open(config, contexts.shown)
        anew = [file for file, digest in contexts.files.items() if self._files.get(file, digest) != digest]
        return Prepared(self, self._listeners, contexts, opened, tuple(anew))

    def enforce(self, config: Config, contexts: Contexts, users: Known | None) -> None:
        """From here on this is in force."""
        assert self._streams is not None and self._probes is not None and self._canaries is not None
        departing = {endpoint.address for endpoint in _without(self._probes.endpoints, config.sip_endpoints).values()}
        self._peers = {at: tls for at, tls in self._peers.items() if at in departing} | contexts.peers
        self.config, self._files = config, contexts.files
        self._streams.meet(self._peers)
        self._streams.limit(config.limits.max_connections)
        targets = targets_of(config, self._peers)
        self._probes.aim(targets)
        self._canaries.aim(targets)
        if self._chat is not None and contexts.chat is not None:
            self._chat.reconfigure(config, contexts.chat)
        self.driver.receive(Reconfigured(config, users))

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

    def _leave(self, effect: Left) -> None:
        self._media_stay = effect.media_stay
        self._left.set()

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _reload(self, effect: Reload) -> None:
        self._asked_to_reload = False
        try:
            done = await self._reloader.reload()
        except BadConfiguration as error:
            self.control.reply(Reply(effect.command, {"error": str(error)}))
            return
        self.control.reply(
            Reply(
                effect.command,
                {
                    "changed": [str(change) for change in done.changes if not change.later],
                    "later": [str(change) for change in done.changes if change.later],
                },
            )
        )

    def _forget(self, effect: ForgetBackend) -> None:
        if effect.service == "xmpp":
            assert self._chat is not None
            closing = self._chat.forget(effect.backend)
        else:
            assert self._probes is not None and self._canaries is not None
            self._canaries.forget(effect.backend)
            closing = self._probes.forget(effect.backend)
        self._closing.append(asyncio.get_running_loop().create_task(closing))
        self._closing = [task for task in self._closing if not task.done()]
        self._run(self._reloader.backend_gone())

    async def _close_listener(self, effect: CloseListener) -> None:
        assert self._listeners is not None
        await self._listeners.leave(effect.endpoint, effect.chat)

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
        self._reloader.users_are((realm, credentials))
        self.driver.tell(UsersRead(len(credentials)))
        self.control.reply(Reply(command, {"ok": True, "users": len(credentials)}))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that can be put in force: what could fail was done."""

    edge: Edge
    listeners: Listeners
    contexts: Contexts
    opened: list[Wanted]
    anew: tuple[Path, ...]  # files of certificates that hold something else than before

    async def abandon(self) -> None:
        """It is not to be: close what was opened for it."""
        await self.listeners.abandon(self.opened, self.edge.config)

    async def enforce(self, config: Config, users: Known | None) -> None:
        """It is. `users` are None where they are as before."""
        self.edge.enforce(config, self.contexts, users)
        await self.listeners.settle(self.contexts.shown)


def _without(all_of_them: Mapping[str, Endpoint], those: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
    return {name: endpoint for name, endpoint in all_of_them.items() if name not in those}
