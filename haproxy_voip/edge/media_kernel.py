"""What the kernel relays instead of us: for each leg the copy of what it does to the ordinary next packet.

A leg sees its first packets itself. Once it has settled, so that what it does to the next one follows from constants,
its `LegShortcut` installs that as a flow (`kernel_flow`). A flow is a cache:

1. It is recalled before anything changes that it was made of, be it the leg's, its partner's or the plan's. Recalling
   adds what the kernel counted to the leg's own counts; nobody can tell later which packet went which way.
2. The kernel passes up what the flow does not cover: another SSRC, a sequence number out of line, RTCP on the same
   port, what is no RTP. RTCP and rubbish are dealt with here while the flow stays. Anything else says that the flow is
   the truth no longer: it is recalled, the packet is handled here, and the leg has to settle anew.
3. Who does not settle for long stays here for longer: `MAX_REST_TICKS`.

No packet is lost or overtaken. A flow is installed when nothing waits in the socket any more, and begins with the
packet that follows the last one read (`KernelFlow.follows`): if another comes first, one may have slipped in between,
and all are passed up, in their order, until the flow is recalled. What comes after that finds the leg as the flow has
left it.

A packet sent by the kernel leaves from an address whose socket is connected to where it goes, so an ICMP error that it
brings is told to that socket as if the socket had sent it: `Leg.fault` hears of a dead party as soon as ever.
"""

from __future__ import annotations

from time import monotonic

from haproxy_voip.configuration.model import WILDCARDS
from haproxy_voip.core.address import Address
from haproxy_voip.edge.kernel_flow import PASS_UP, FlowState, KernelFlow
from haproxy_voip.edge.kernel_relay import KernelRelay
from haproxy_voip.edge.media_leg import BUFFER, DRAIN_LIMIT, Leg
from haproxy_voip.rtp.fingerprint import Print, hash_of
from haproxy_voip.rtp.flow import Side
from haproxy_voip.rtp.payload_types import Conversion

# Ticks are those of `media_watch`, 20 ms each. How long a leg that did something else than the usual is left alone, and
# one that did so again soon after its flow was installed. Twice as long each time, up to ten seconds.
REST_TICKS = 2
MAX_REST_TICKS = 500
# Seconds. A flow that stood for so long was no mistake.
CALM_SECONDS = 5.0
# How soon a leg is looked at again that was not ready: nobody spoke there yet, or its party may not be sent to.
RETRY_TICKS = 10
# Of the time from tick to tick, for installing flows: 50 us each, and reading what waits there, which has to be done
# anyway. The later the ticks come, the more there is to do, and the more that helps. One is installed even in no time.
INSTALLING_SHARE = 0.5
# And so many seconds at most, because nothing else is done meanwhile.
MAX_INSTALLING_SECONDS = 1.0
# Turns of DRAIN_LIMIT packets to empty a socket before its leg is installed. It holds about 280: net.core.rmem_default.
EMPTYING_TURNS = 32


class LegShortcut:
    """One leg's flow, while there is one."""

    __slots__ = (
        "_base",
        "_cache",
        "_installed_at",
        "flow",
        "leg",
        "rest",
        "side",
        "stream",
        "target",
        "toward",
    )

    def __init__(self, cache: KernelCache, leg: Leg, stream: int, side: Side) -> None:
        self.leg = leg
        self.stream = stream
        self.side: Side = side
        self.flow: KernelFlow | None = None  # in the kernel
        self.target: LegShortcut | None = None  # whose party that flow is sent to
        self.toward: dict[LegShortcut, None] = {}  # whose flows are sent to our party
        self._cache = cache
        self._base: FlowState | None = None  # as of when the leg's counts were whole last
        self._installed_at = 0.0
        self.rest = REST_TICKS  # before it is tried again

    # -- for the leg ---------------------------------------------------------------------------------

    def recall(self) -> None:
        """See `media_shortcut`."""
        self._cache.recall(self)
        for other in list(self.toward):
            self._cache.recall(other)

    def end(self) -> None:
        """See `media_shortcut`."""
        self.recall()
        self._cache.forget(self)

    def look(self) -> None:
        """See `media_shortcut`. For whoever is in the kernel, and often: no call into it."""
        flow, tally = self.flow, self.leg.tally
        if flow is not None:
            heard_at = self._cache.kernel.last_arrival(flow.local)
            if heard_at > tally.last_arrival:
                tally.last_arrival = heard_at

    def refresh(self) -> None:
        """See `media_shortcut`."""
        if self.flow is not None:
            state = self._cache.state(self.flow.local)
            if state is not None:
                self.fold(state)

    # -- for the cache -------------------------------------------------------------------------------

    def entered(self, flow: KernelFlow, now: float) -> None:
        """The flow is in the kernel: what comes to the leg from now on was passed up, or came before."""
        self.flow, self._base, self._installed_at = flow, flow.state, now
        self.target = self._cache.known(self.leg.partner)
        if self.target is not None:
            self.target.toward[self] = None
        self.leg.read_by(self._passed_up)

    def left(self, state: FlowState | None) -> None:
        """The flow is no longer in the kernel; `state`: as it was then."""
        if state is not None:
            self.fold(state)
        if monotonic() > self._installed_at + CALM_SECONDS:
            self.rest = REST_TICKS
        self.flow = self._base = None
        if self.target is not None:
            self.target.toward.pop(self, None)
            self.target = None

    def fold(self, state: FlowState) -> None:
        """Count what the kernel has counted as if the leg had seen it."""
        tally, base, joint = self.leg.tally, self._base, self.leg.joint
        assert base is not None
        tally.packets += state.packets - base.packets
        tally.bytes += state.bytes - base.bytes
        tally.unsent += state.unsent - base.unsent
        tally.dropped += state.dropped - base.dropped
        tally.last_arrival = max(tally.last_arrival, state.last_arrival)
        tally.reception.restore(state.reception)
        if state.outgoing is not None and joint is not None and joint.outgoing is not None:
            joint.outgoing.restore(state.outgoing)
        self._base = state

    def _passed_up(self) -> None:
        """Read what reaches the leg in spite of its flow."""
        leg = self.leg
        for _ in range(DRAIN_LIMIT):
            try:
                size = leg.sock.recv_into(BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                leg.fault(error)
                return
            if not leg.plausible(size):
                leg.tally.dropped += 1
            elif leg.holds_rtcp():
                leg.take(size, monotonic())
            else:
                self._give_up(size)
                return

    def _give_up(self, size: int) -> None:
        """What is in the buffer is not what the flow was made for."""
        self.rest = min(2 * self.rest, MAX_REST_TICKS)
        self._cache.recall(self)
        self.leg.take(size, monotonic())


class KernelCache:
    """The flows of one relay."""

    def __init__(self, kernel: KernelRelay) -> None:
        self.kernel = kernel
        self._installed: dict[LegShortcut, None] = {}
        self._waiting: dict[LegShortcut, int] = {}  # not in the kernel, and the tick at which to try again
        self._tick = 0
        self._ticked_at = monotonic()
        self._let_go = False

    def __len__(self) -> int:
        return len(self._installed)

    def shortcut(self, leg: Leg, stream: int, side: Side) -> LegShortcut:
        """For a new leg."""
        made = LegShortcut(self, leg, stream, side)
        self._waiting[made] = self._tick + REST_TICKS
        return made

    def known(self, leg: Leg) -> LegShortcut | None:
        """Whose shortcut it is."""
        return leg.shortcut if isinstance(leg.shortcut, LegShortcut) else None

    def state(self, local: Address) -> FlowState | None:
        """As of now."""
        return self.kernel.states([local]).get(local)

    def recall(self, shortcut: LegShortcut) -> None:
        """Let this leg's packets come to the leg again."""
        if shortcut.flow is not None:
            del self._installed[shortcut]
            shortcut.left(None if self._let_go else self.kernel.remove(shortcut.flow.local))
            shortcut.leg.read_by(None)
        self._waiting[shortcut] = self._tick + shortcut.rest

    def let_go(self) -> None:
        """The process ends: what is in the kernel shall go on without it."""
        self._let_go = True

    def forget(self, shortcut: LegShortcut) -> None:
        """Recalled before, and its leg is gone."""
        del self._waiting[shortcut]

    def tick(self, now: float) -> None:
        """Every `TICK_SECONDS`: install what has settled."""
        self._tick += 1
        until = now + min(INSTALLING_SHARE * (now - self._ticked_at), MAX_INSTALLING_SECONDS)
        self._ticked_at = now
        for shortcut in [shortcut for shortcut, at in self._waiting.items() if at <= self._tick]:
            if not _ready(shortcut.leg):
                self._waiting[shortcut] = self._tick + RETRY_TICKS
            else:
                self._install(shortcut, now)
                if monotonic() >= until:
                    break

    def prints(self) -> tuple[list[Print], bool]:
        """What the kernel has heard since it was asked last, and whether that is all."""
        heard, complete = self.kernel.prints()
        return [
            Print(each.stream, each.side, hash_of(each.payload_type, each.payload), each.at) for each in heard
        ], complete

    def _install(self, shortcut: LegShortcut, now: float) -> None:
        leg = shortcut.leg
        flow = _flow_of(shortcut) if _emptied(leg) and _ready(leg) else None
        if flow is None:
            self._waiting[shortcut] = self._tick + RETRY_TICKS
            return
        try:
            self.kernel.install(flow)
        except OSError:  # no room, no route, or nothing the kernel can do: it goes on here
            self._waiting[shortcut] = self._tick + MAX_REST_TICKS
            return
        del self._waiting[shortcut]
        self._installed[shortcut] = None
        rest = shortcut.rest
        shortcut.entered(flow, now)
        leg.drain()  # if something came in this moment, the flow is recalled, and it is nobody's fault
        shortcut.rest = rest


def _emptied(leg: Leg) -> bool:
    """Read what waits in its socket; whether that was all."""
    for _ in range(EMPTYING_TURNS):
        if not leg.waits():
            return True
        leg.drain()
    return False


def _ready(leg: Leg) -> bool:
    """Whether nothing has to be asked, looked at or waited for with its next packet."""
    ours = leg.deaf or leg.opaque or not leg.steady
    return not ours and leg.trusted_peer is not None and leg.partner.transmit is not None


def _flow_of(shortcut: LegShortcut) -> KernelFlow | None:
    """What this leg, being ready, does to the next packet; None when that will be known after it."""
    leg = shortcut.leg
    partner, peer, target = leg.partner, leg.trusted_peer, leg.partner.latch.target
    out_local, state, types = local_of(partner), _state_of(leg), None
    if peer is None or target is None or state is None or out_local.host in WILDCARDS:
        return None
    if leg.joint is not None and leg.joint.conversion is not None:
        types = payload_types(leg.joint.conversion)
        if types is None:
            return None
    return KernelFlow(
        stream=shortcut.stream,
        side=shortcut.side,
        local=local_of(leg),
        peer=peer,
        out_local=out_local,
        out_peer=target,
        payload_types=types,
        mux=leg.mux,
        clock_hz=leg.tally.reception.clock_hz,
        prints=leg.look is not None,
        follows=True,
        state=state,
    )


def _state_of(leg: Leg) -> FlowState | None:
    """What was counted so far; None when nobody has been heard, or not by whoever hears this leg."""
    tally, joint = leg.tally, leg.joint
    reception, outgoing = tally.reception.snapshot(), None
    if reception is None:
        return None
    if joint is not None and joint.outgoing is not None:
        outgoing = joint.outgoing.snapshot()
        if outgoing is None or outgoing.source != reception.ssrc:
            return None
    return FlowState(
        reception=reception,
        outgoing=outgoing,
        packets=tally.packets,
        bytes=tally.bytes,
        unsent=tally.unsent,
        dropped=tally.dropped,
        last_arrival=tally.last_arrival,
    )


def payload_types(conversion: Conversion) -> bytes | None:
    """For the kernel, which changes numbers; None when it would have to change payloads too."""
    if any(becomes is not None and becomes.table is not None for becomes in conversion):
        return None
    return bytes(PASS_UP if becomes is None else becomes.payload_type for becomes in conversion)


def local_of(leg: Leg) -> Address:
    """Where its packets arrive: of a connected socket one address, whatever it was bound to."""
    host, port, *_ = leg.sock.getsockname()
    return Address(host, port)
