"""What edge/ does for the chat of a proxy, in the simulated network: probes, canaries, TLS, pauses, resets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haproxy_voip.configuration.model import Config
from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.effects import Close
from haproxy_voip.core.events import StreamClosed, StreamData, StreamOpened
from haproxy_voip.proxy.effects import (
    CloseCanary,
    ForgetBackend,
    LookForReply,
    OpenCanary,
    PauseReading,
    Probe,
    ProbeStream,
    Reply,
    Reset,
    ResumeReading,
    StartTls,
)
from haproxy_voip.proxy.events import (
    CanaryClosed,
    CanaryOpened,
    Command,
    Looked,
    ProbeRefused,
    StreamProbeReply,
    TlsStarted,
)
from haproxy_voip.proxy.node import Node
from tests.simulation.wires import End
from tests.simulation.world import Process, World

# Connections of the edge's own have numbers no node gives.
FIRST_OWN = 1_000_000
PROBES_AT_ONCE = 8
CERTIFICATE = b"what tls-server-end-point makes of the certificate"

Tell = Callable[[Any], None]


class ChatEdge:
    """One proxy process in the world."""

    def __init__(self, world: World, name: str, node: Node, config: Config) -> None:
        assert config.proxy.xmpp is not None
        self.name = name
        self.node: Node = world.add(name, node, config.proxy.xmpp.listen)
        self.replies: dict[int, dict[str, Any]] = {}
        self.process: Process = world.processes[name]
        self._world = world
        self._backends = config.xmpp_endpoints
        self._host = config.proxy.xmpp.listen[0].address.host
        self._canaries: dict[str, End] = {}
        self._probes: dict[str, list[End]] = {backend: [] for backend in self._backends}
        self._held: dict[int, tuple[End, Tell, list[Any]]] = {}  # streams that are not read from
        self._last_own = FIRST_OWN
        self._last_command = 0
        handlers: dict[type, Tell] = {
            Probe: lambda effect: None,
            ProbeStream: self._probe,
            LookForReply: self._look,
            OpenCanary: self._open_canary,
            CloseCanary: self._close_canary,
            StartTls: self._start_tls,
            PauseReading: self._pause,
            ResumeReading: self._resume,
            Close: self._close,
            Reset: self._close,
            ForgetBackend: lambda effect: None,
            Reply: lambda effect: self.replies.update({effect.command: effect.result}),
        }
        for kind, handler in handlers.items():
            world.on(name, kind, handler)

    def command(self, command: str, **arguments: str) -> dict[str, Any]:
        """As over the control socket."""
        self._last_command += 1
        event = Command(self._last_command, command, arguments)
        self._world.act(self.name, lambda now: self.node.receive(event, now))
        return self.replies.pop(self._last_command)

    def tell(self, event: object) -> None:
        """As the rest of the edge does."""
        self._receive(event)

    @property
    def streams(self) -> list[Flow]:
        """What the node has open."""
        return [end.flow for end in self.process.ends.values() if end.flow.connection < FIRST_OWN]

    def _receive(self, event: Any) -> None:
        self._world.receive(self.process, event)

    def _own_end(self, backend: str) -> End:
        self._last_own += 2
        flow = Flow(Transport.TCP, Address(self._host, 0), self._backends[backend].address, self._last_own)
        end = self.process.ends[flow.connection] = End(self.process, flow)
        return end

    def _hang_up(self, end: End) -> None:
        end.over = True
        self.process.ends.pop(end.flow.connection, None)
        if end.wired:
            end.wire.hang_up(end, "closed by the peer")

    # -- probes and canaries -------------------------------------------------------------------------

    def _probe(self, effect: ProbeStream) -> None:
        backend = effect.backend
        under_way = self._probes[backend]
        end = self._own_end(backend)
        under_way.append(end)
        if len(under_way) > PROBES_AT_ONCE:
            self._hang_up(under_way.pop(0))

        def tell(event: Any) -> None:
            match event:
                case StreamOpened(flow):
                    self._world._send(self.process, flow, effect.data)
                case StreamData() if end in under_way:
                    under_way.remove(end)
                    self._hang_up(end)
                    self._receive(StreamProbeReply(backend, effect.number))
                case StreamClosed(_, reason) if end in under_way:
                    under_way.remove(end)
                    self._receive(ProbeRefused(backend, reason, "xmpp"))
                case _:
                    pass

        self._world.connect(end, tell)

    def _look(self, effect: LookForReply) -> None:
        """Streams are read as soon as anything is there, so nothing waits."""
        looked = Looked(effect.backend, effect.number, effect.service)
        self._world.after(0, lambda: self._receive(looked))

    def _open_canary(self, effect: OpenCanary) -> None:
        backend = effect.backend
        end = self._canaries[backend] = self._own_end(backend)

        def tell(event: Any) -> None:
            match event:
                case StreamOpened():
                    self._receive(CanaryOpened(backend, "xmpp"))
                case StreamClosed(_, reason) if self._canaries.get(backend) is end:
                    del self._canaries[backend]
                    self._receive(CanaryClosed(backend, reason, "xmpp"))
                case _:
                    pass

        self._world.connect(end, tell)

    def _close_canary(self, effect: CloseCanary) -> None:
        end = self._canaries.pop(effect.backend, None)
        if end is not None:
            self._hang_up(end)

    # -- streams -------------------------------------------------------------------------------------

    def _start_tls(self, effect: StartTls) -> None:
        assert effect.server_name is None, "the backends of this world speak no TLS"

    def _pause(self, effect: PauseReading) -> None:
        number = effect.flow.connection
        end = self.process.ends.get(number)
        if end is not None and number not in self._held:
            events: list[Any] = []
            self._held[number] = end, end.tell, events
            end.tell = events.append

    def _resume(self, effect: ResumeReading) -> None:
        self._world.after(0, lambda: self._let_in(effect.flow.connection))

    def _let_in(self, number: int) -> None:
        end, tell, events = self._held.pop(number, (None, None, []))
        if end is not None and tell is not None:
            end.tell = tell
            for event in events:
                end.tell(event)

    def _close(self, effect: Close | Reset) -> None:
        held = self._held.pop(effect.flow.connection, None)
        if held is not None:
            end, tell, events = held
            end.tell = tell
            if any(isinstance(event, StreamClosed) for event in events):
                self._world.after(0, lambda: tell(StreamClosed(effect.flow, "closed by us")))
        self._world._close(self.process, effect.flow)


def shake_hands(world: World, client: Process, flow: Flow) -> None:
    """TLS on a client's stream: its first flight reaches the proxy, then the answer reaches it."""
    end = client.ends.get(flow.connection)
    if end is None:
        return
    far = end.wire.other(end)

    def accepted() -> None:
        far.tell(TlsStarted(far.flow, CERTIFICATE, None))
        end.wire.deliver(end, lambda: end.tell(TlsStarted(flow, CERTIFICATE, None)))

    end.wire.deliver(far, accepted)
