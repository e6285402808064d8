"""A network of machines in one process: virtual clock, virtual wires, faults, everything from one seed.

The world alone owns time, chance and delivery. The same seed and the same calls give the same history, event by
event; `digest` tells two histories apart. Nothing iterates over a set.

    world = World(seed)
    phone = world.add("phone", Phone(...), [Endpoint.parse("udp:192.0.2.1:5060")])
    world.act("phone", lambda now: phone.register(now))
    world.run(5.0)

Faults: `kill`, `freeze`, `thaw`, `partition`, `heal`, and the weather of each link.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from haproxy_voip.core.address import Address, Endpoint, Flow, Transport
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import Datagram, StreamClosed, StreamData, StreamOpened
from tests.simulation.lines import described, summary
from tests.simulation.weather import CALM, Weather
from tests.simulation.weather import STORM as STORM
from tests.simulation.wires import TIMED_OUT_AFTER, End, Wire

# Datagrams a frozen process finds when it thaws; its socket's buffer holds no more.
MAX_INBOX = 5_000
# Actions at one moment. Whoever needs more never lets time go on.
MAX_ACTIONS_AT_ONCE = 20_000
# Times in a row that a machine may be due again at once after it was woken.
MAX_FUTILE_WAKES = 100
# Lines kept for whoever looks into a failed run.
MAX_TRACE = 3_000
# Of a killed process the kernel may close a connection up to this long before its UDP ports, which swallow a
# datagram until then: seen in 1 of 4 kills of a real process, where the next datagram 1 ms later was refused.
PORTS_OUTLIVE = 0.001
PORTS_OUTLIVE_SHARE = 0.25
# A timer rings this much after its deadline, as an event loop's does.
TICK = 1e-6

Handler = Callable[[Any], None]


@dataclass(slots=True, eq=False)
class Process:
    """One machine and its place in the world."""

    name: str
    machine: Any
    handlers: dict[type, Handler]
    alive: bool = True
    frozen: bool = False
    inbox: deque[Any] = field(default_factory=deque)  # what came while frozen
    deadline: float | None = None  # the machine's, since its last step
    alarm_at: float | None = None
    ports_closed_at: float = 0.0  # of a killed one
    futile: int = 0  # times in a row it was due again after it was woken
    ends: dict[int, End] = field(default_factory=dict)  # its streams
    accepted: int = -1  # the last odd number given


@dataclass(slots=True)
class Socket:
    """Where datagrams or connections are taken: `take` is called with the event at its arrival."""

    process: Process
    take: Callable[[bytes, Address], None]
    refused: Callable[[], None] | None = None  # ICMP reaches connected sockets only


class World:
    """See the module."""

    def __init__(self, seed: int, weather: Weather = CALM) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self.weather = weather
        self.links: dict[frozenset[str], Weather] = {}  # other weather between these two processes
        self.processes: dict[str, Process] = {}
        self.sockets: dict[Endpoint, Socket] = {}
        self.facts: list[tuple[float, str, Any]] = []
        self.readers: list[Callable[[float, str, Any], None]] = []
        self.invariants: list[Callable[[], None]] = []  # called after every event
        self.trace: deque[str] = deque(maxlen=MAX_TRACE)
        self.events = 0
        self._cut: dict[frozenset[str], list[Callable[[], None]]] = {}  # partitions, and what waits for their end
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._hash = hashlib.sha256()

    # -- who is there --------------------------------------------------------------------------------

    def add(self, name: str, machine: Any, listen: Iterable[Endpoint]) -> Any:
        """Start a process, or start it again after `kill`; returns the machine."""
        known = self.processes.get(name)
        assert known is None or not known.alive, f"{name} runs already"
        process = Process(name, machine, {})
        process.handlers = {
            Send: lambda effect: self._send(process, effect.flow, effect.data),
            Open: lambda effect: self._open(process, effect.flow),
            Close: lambda effect: self._close(process, effect.flow),
        }
        self.processes[name] = process
        for endpoint in listen:
            self.sockets[endpoint] = Socket(process, self._taker(process, endpoint))
        self._arm(process)
        return machine

    def machine(self, name: str) -> Any:
        """The machine of this process."""
        return self.processes[name].machine

    def on(self, name: str, kind: type, handler: Handler) -> None:
        """Let `handler` carry out this process's effects of this type; what nobody carries out is a fact."""
        self.processes[name].handlers[kind] = handler

    def told(self, kind: type, name: str | None = None) -> list[Any]:
        """All facts of this kind, of this process or of any."""
        return [fact for _, who, fact in self.facts if isinstance(fact, kind) and name in (None, who)]

    # -- time ----------------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at an absolute time; in the past means now."""
        heapq.heappush(self._queue, (max(when, self.now), next(self._order), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self.at(self.now + seconds, action)

    def act(self, name: str, command: Callable[[float], Sequence[Any]]) -> None:
        """Let a machine do something that is no event: `command(now)` returns its outputs."""
        process = self.processes[name]
        assert process.alive and not process.frozen, f"{name} cannot act"
        self._step(process, command(self.now))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.now + seconds
        self._run(until, lambda: False)
        self.now = until

    def run_until(self, done: Callable[[], bool], limit: float = 60.0) -> None:
        """Let time pass until this is so. AssertionError when it is not after `limit` seconds."""
        if not done():
            self._run(self.now + limit, done)
            assert done(), f"still not so at {self.now:.3f} s (seed {self.seed})"

    def _run(self, until: float, done: Callable[[], bool]) -> None:
        steps, moment = 0, self.now
        while self._queue and self._queue[0][0] <= until:
            at, _, action = heapq.heappop(self._queue)
            steps, moment = (steps + 1, moment) if at <= moment else (0, at)
            assert steps < MAX_ACTIONS_AT_ONCE, f"time stands still at {at:.6f} s (seed {self.seed})"
            self.now = at
            action()
            if done():
                return

    @property
    def digest(self) -> str:
        """Of the whole history until now."""
        return self._hash.hexdigest()

    # -- faults --------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL: its kernel closes its connections and answers for its ports."""
        process = self.processes[name]
        process.alive = False
        process.ports_closed_at = self.now
        if self.random.random() < PORTS_OUTLIVE_SHARE:
            process.ports_closed_at += self.random.uniform(0, PORTS_OUTLIVE)
        self._note(f"{name} killed")
        process.inbox.clear()
        for end in list(process.ends.values()):
            end.wire.hang_up(end, "connection reset")
        process.ends.clear()

    def freeze(self, name: str) -> None:
        """SIGSTOP: the kernel goes on taking what comes, the process does nothing."""
        self.processes[name].frozen = True
        self._note(f"{name} frozen")

    def thaw(self, name: str) -> None:
        """SIGCONT: it wakes late, then finds what has come."""
        process = self.processes[name]
        process.frozen = False
        self._note(f"{name} thawed")
        process.alarm_at = None
        inbox, process.inbox = process.inbox, deque()
        self._wake(process)
        for event in inbox:
            self.receive(process, event)

    def apart(self, one: str, other: str) -> bool:
        """Whether the link between these two is cut."""
        return frozenset((one, other)) in self._cut

    def partition(self, one: str, other: str) -> None:
        """Nothing passes between these two; streams wait."""
        self._cut.setdefault(frozenset((one, other)), [])
        self._note(f"{one} and {other} cut off from each other")

    def heal(self, one: str, other: str) -> None:
        """End of the partition."""
        waiting = self._cut.pop(frozenset((one, other)), [])
        self._note(f"{one} and {other} see each other again")
        for action in waiting:
            action()

    def isolate(self, name: str) -> None:
        """Cut one off from everybody."""
        for other in self.processes:
            if other != name:
                self.partition(name, other)

    def rejoin(self, name: str) -> None:
        """End of its isolation."""
        for other in self.processes:
            if frozenset((name, other)) in self._cut:
                self.heal(name, other)

    # -- datagrams -----------------------------------------------------------------------------------

    def send_datagram(self, source: Socket, local: Address, remote: Address, data: bytes) -> None:
        """From a socket of a process, which need not be one of `sockets`, to an address."""
        target = self.sockets.get(Endpoint(Transport.UDP, remote))
        if target is None:
            return  # no such host
        weather = self.weather_between(source.process, target.process)
        if self.cut_off(source.process, target.process) or self.random.random() < weather.loss:
            self._note(f"lost {local} -> {remote} {summary(data)}")
            return
        copies = 2 if self.random.random() < weather.duplicate else 1
        for _ in range(copies):
            delay = self.random.uniform(*weather.delay)
            if self.random.random() < weather.late:
                delay += self.random.uniform(*weather.late_by)
            self.after(delay, lambda: self._arrive(source, target, local, data))

    def _arrive(self, source: Socket, target: Socket, local: Address, data: bytes) -> None:
        if target.process.alive:
            target.take(data, local)
        elif source.refused is not None and self.now >= target.process.ports_closed_at:
            delay = self.random.uniform(*self.weather_between(source.process, target.process).delay)
            self.after(delay, source.refused)

    def _taker(self, process: Process, endpoint: Endpoint) -> Callable[[bytes, Address], None]:
        def take(data: bytes, remote: Address) -> None:
            self.receive(process, Datagram(data, Flow(Transport.UDP, endpoint.address, remote)))

        return take

    # -- streams -------------------------------------------------------------------------------------

    def _open(self, process: Process, flow: Flow) -> None:
        end = End(process, flow)
        process.ends[flow.connection] = end
        self.connect(end, lambda event: self.receive(process, event))

    def connect(self, end: End, tell: Callable[[Any], None]) -> None:
        """Connect a stream; `tell` gets StreamOpened, StreamData and StreamClosed of this end."""
        process, flow = end.process, end.flow
        end.tell = tell
        target = self.sockets.get(Endpoint(Transport.TCP, flow.remote))
        if target is None or self.cut_off(process, target.process):
            self.after(TIMED_OUT_AFTER, lambda: end.fail("timed out"))
            return
        there = self.delay_between(process, target.process)
        back = there + self.delay_between(process, target.process)
        if not target.process.alive:
            self.after(back, lambda: end.fail("connection refused"))
            return
        acceptor = target.process
        acceptor.accepted += 2
        source = Address(flow.local.host, 40_000 + flow.connection % 20_000)
        far = End(acceptor, Flow(Transport.TCP, flow.remote, source, acceptor.accepted))
        acceptor.ends[far.flow.connection] = far
        far.tell = lambda event: self.receive(acceptor, event)
        wire = Wire(self, end, far)
        wire.deliver(far, lambda: far.tell(StreamOpened(far.flow)), self.now + there)
        wire.deliver(end, lambda: end.tell(StreamOpened(flow)), self.now + back)

    def _close(self, process: Process, flow: Flow) -> None:
        end = process.ends.get(flow.connection)
        if end is not None and end.wired:
            end.wire.hang_up(end, "closed by the peer")
            self.after(0, lambda: end.tell(StreamClosed(flow, "closed by us")))
        elif end is not None:
            self.after(0, lambda: end.fail("closed by us"))

    def _send(self, process: Process, flow: Flow, data: bytes) -> None:
        if flow.connection:
            end = process.ends.get(flow.connection)
            if end is not None and end.wired:
                far = end.wire.other(end)
                end.wire.deliver(far, lambda: far.tell(StreamData(data, far.flow)))
            return
        known = self.sockets.get(Endpoint(Transport.UDP, flow.local))
        source = known or Socket(process, lambda data, remote: None)
        self.send_datagram(source, flow.local, flow.remote, data)

    # -- links ---------------------------------------------------------------------------------------

    def weather_between(self, one: Process, other: Process) -> Weather:
        """The weather of this link."""
        return self.links.get(frozenset((one.name, other.name)), self.weather)

    def delay_between(self, one: Process, other: Process) -> float:
        """How long one packet takes now."""
        return self.random.uniform(*self.weather_between(one, other).delay)

    def cut_off(self, one: Process, other: Process) -> bool:
        """Whether a partition is between them."""
        return frozenset((one.name, other.name)) in self._cut

    def when_healed(self, one: Process, other: Process, action: Callable[[], None]) -> None:
        """Do this when the partition between them ends."""
        self._cut[frozenset((one.name, other.name))].append(action)

    # -- machines ------------------------------------------------------------------------------------

    def receive(self, process: Process, event: Any) -> None:
        """An event has reached a process."""
        if not process.alive:
            return
        if process.frozen:
            if len(process.inbox) < MAX_INBOX:
                process.inbox.append(event)
            return
        self._note(f"{process.name} <- {described(event)}")
        if process.deadline is not None and process.deadline <= self.now:
            self._step(process, process.machine.wake(self.now))  # what is due goes first
        self._step(process, process.machine.receive(event, self.now))

    def _step(self, process: Process, outputs: Sequence[Any]) -> None:
        self.events += 1
        for output in outputs:
            handler = process.handlers.get(type(output))
            if handler is not None:
                handler(output)
            else:
                self._tell(process.name, output)
        for invariant in self.invariants:
            invariant()
        self._arm(process)

    def _tell(self, name: str, fact: Any) -> None:
        self._note(f"{name}: {fact}")
        self.facts.append((self.now, name, fact))
        for reader in self.readers:
            reader(self.now, name, fact)

    def _arm(self, process: Process) -> None:
        deadline = process.deadline = process.machine.deadline
        if deadline is None or not process.alive:
            return
        if process.alarm_at is None or deadline < process.alarm_at:
            at = process.alarm_at = max(deadline, self.now)
            self.at(at + TICK, lambda: self._ring(process, at))

    def _ring(self, process: Process, at: float) -> None:
        if process.alarm_at == at and not process.frozen:
            process.alarm_at = None
            self._wake(process)

    def _wake(self, process: Process) -> None:
        if process.alive and process.deadline is not None and process.deadline <= self.now:
            self._note(f"{process.name} wakes")
            self._step(process, process.machine.wake(self.now))
            again = process.deadline
            process.futile = process.futile + 1 if again is not None and again <= self.now else 0
            assert process.futile < MAX_FUTILE_WAKES, f"{process.name} is always due (seed {self.seed})"
        else:
            self._arm(process)

    def _note(self, line: str) -> None:
        text = f"{self.now:12.6f} {line}"
        self.trace.append(text)
        self._hash.update(text.encode("utf-8", "surrogateescape"))
