"""What edge/ does for the proxy, in the simulated network: probes, canaries, media plans, the control socket.

No media packet is simulated. Where audio would go is read from the plans in force: see `hears`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.events import StreamClosed, StreamOpened
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.proxy.effects import (
    CloseCanary,
    ForgetBackend,
    InstallStream,
    LookForReply,
    OpenCanary,
    Probe,
    RemoveStream,
    Reply,
    StirCanary,
)
from haproxy_voip.proxy.events import (
    CanaryClosed,
    CanaryOpened,
    Command,
    Looked,
    MediaReport,
    PortsFree,
    PortsTaken,
    ProbeRefused,
    ProbeReply,
)
from haproxy_voip.proxy.node import Node
from haproxy_voip.rtp.flow import Counters, Party, StreamPlan
from tests.simulation.wires import End
from tests.simulation.world import Process, Socket, World

FIRST_PROBE_PORT = 50_000
# A canary's connection has a number of its own kind, which no node gives.
FIRST_CANARY = 1_000_000
# Relays a packet may pass before we say that it goes round in circles.
MAX_RELAYS = 10


class ProxyEdge:
    """One proxy process in the world. `plans` are the media streams in force, by number; `inherited` those that the
    kernel relays for a process before."""

    def __init__(
        self, world: World, name: str, node: Node, config: Config, inherited: Mapping[int, StreamPlan]
    ) -> None:
        self.name = name
        self.node: Node = world.add(name, node, config.proxy.sip.listen)
        self.plans: dict[int, StreamPlan] = {}
        self.inherited = dict(inherited)
        self.replies: dict[int, dict[str, Any]] = {}
        self.beyond: Callable[[Address], Address | None] = lambda target: None  # where a backend sends a packet on to
        self._world = world
        self._process: Process = world.processes[name]
        self._backends = {backend.name: backend.sip for backend in config.backends}
        self._host = config.proxy.sip.listen[0].address.host
        self._probes = {each: self._probe_socket(each, number) for number, each in enumerate(self._backends)}
        self._canaries: dict[str, End] = {}
        self._last_canary = FIRST_CANARY
        self._last_command = 0
        handlers: dict[type, Callable[[Any], None]] = {
            Probe: self._probe,
            OpenCanary: self._open_canary,
            LookForReply: self._look_for_reply,
            StirCanary: lambda effect: None,  # nobody here closes what is idle
            CloseCanary: self._close_canary,
            InstallStream: self._install,
            RemoveStream: self._remove,
            Reply: self._reply,
            ForgetBackend: lambda effect: None,
        }
        for kind, handler in handlers.items():
            world.on(name, kind, handler)
        if inherited:
            self._receive(PortsTaken(tuple(port for plan in inherited.values() for port in _ports(plan))))

    def command(self, command: str, **arguments: str) -> dict[str, Any]:
        """As over the control socket."""
        self._last_command += 1
        event = Command(self._last_command, command, arguments)
        self._world.act(self.name, lambda now: self.node.receive(event, now))
        return self.replies.pop(self._last_command)

    def tell(self, event: object) -> None:
        """As the relay does."""
        self._receive(event)

    def let_go(self, stream: int) -> None:
        """Nothing was heard on an inherited stream for some time."""
        self._receive(PortsFree(_ports(self.inherited.pop(stream))))

    # -- probes --------------------------------------------------------------------------------------

    def _probe_socket(self, backend: str, number: int) -> tuple[Socket, Address]:
        local = Address(self._host, FIRST_PROBE_PORT + number)

        def take(data: bytes, remote: Address) -> None:
            self._receive(ProbeReply(backend, data))

        def refused() -> None:
            self._receive(ProbeRefused(backend, "connection refused"))

        socket = self._world.sockets[Endpoint(Transport.UDP, local)] = Socket(self._process, take, refused)
        return socket, local

    def _probe(self, effect: Probe) -> None:
        socket, local = self._probes[effect.backend]
        self._world.send_datagram(socket, local, self._backends[effect.backend].address, effect.data)

    def _look_for_reply(self, effect: LookForReply) -> None:
        """What has arrived is handed in at once, unless the process sleeps."""
        self._world.after(0.0, lambda: self._receive(Looked(effect.backend, effect.number)))

    # -- canaries ------------------------------------------------------------------------------------

    def _open_canary(self, effect: OpenCanary) -> None:
        backend = effect.backend
        self._last_canary += 2
        flow = Flow(Transport.TCP, Address(self._host, 0), self._backends[backend].address, self._last_canary)
        end = self._canaries[backend] = End(self._process, flow)

        def tell(event: Any) -> None:
            match event:
                case StreamOpened():
                    self._receive(CanaryOpened(backend))
                case StreamClosed(_, reason) if self._canaries.get(backend) is end:
                    del self._canaries[backend]
                    self._receive(CanaryClosed(backend, reason))

        self._process.ends[flow.connection] = end
        self._world.connect(end, tell)

    def _close_canary(self, effect: CloseCanary) -> None:
        end = self._canaries.pop(effect.backend, None)
        if end is not None:
            end.over = True
            self._process.ends.pop(end.flow.connection, None)
            if end.wired:
                end.wire.hang_up(end, "closed by the peer")

    # -- media ---------------------------------------------------------------------------------------

    def _install(self, effect: InstallStream) -> None:
        self.plans[effect.plan.stream] = effect.plan

    def _remove(self, effect: RemoveStream) -> None:
        if self.plans.pop(effect.stream, None) is not None:
            report = MediaReport(effect.stream, Counters(), Counters())
            self._world.after(0, lambda: self._receive(report))

    # ------------------------------------------------------------------------------------------------

    def _reply(self, effect: Reply) -> None:
        self.replies[effect.command] = effect.result

    def _receive(self, event: Any) -> None:
        self._world.receive(self._process, event)


def hears(edge: ProxyEdge, speaker: PhoneCall, listener: PhoneCall) -> bool:
    """Whether the speaker's audio reaches the listener through the relays in force."""
    return listener.media.receives and reaches(edge, speaker) == listener.media.local


def reaches(edge: ProxyEdge, speaker: PhoneCall) -> Address | None:
    """Where the speaker's audio comes out of the relays in force; None: nowhere."""
    target = speaker.media.remote if speaker.media.sends else None
    for _ in range(MAX_RELAYS):
        if target is None:
            return None
        way_out = _other_party(edge, target)
        if way_out is None:
            sent_on = edge.beyond(target)
            if sent_on is None:
                return target
            target = sent_on
            continue
        target = way_out.remote if way_out.receives else None
    return None


def _other_party(edge: ProxyEdge, local: Address) -> Party | None:
    """Whom a packet goes to that arrives at this address of the relay."""
    for plans in (edge.plans, edge.inherited):
        for plan in plans.values():
            if plan.client.local == local:
                partner = None if plan.bridge is None else plans.get(plan.bridge)
                if partner is not None and partner.bridge == plan.stream:
                    return partner.client
                return plan.backend
            if plan.backend.local == local:
                return plan.client
    return None


def _ports(plan: StreamPlan) -> tuple[int, int]:
    return plan.client.local.port, plan.backend.local.port
