"""What the relay looks at from time to time, not for each packet: silence, noise that is due, payloads to tell of.

One timer for all streams, and none while there are no streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from haproxy_voip.core.address import Address
from haproxy_voip.edge.media_end import End
from haproxy_voip.edge.media_kernel import KernelCache
from haproxy_voip.edge.media_leg import BUFFER, VIEW, Look
from haproxy_voip.edge.media_passage import Passage, payload_in_buffer
from haproxy_voip.rtp.continuity import VIDEO_CLOCK_HZ
from haproxy_voip.rtp.fingerprint import MIN_PAYLOAD_BYTES, PRINT_BYTES, Print, hash_of, sampled, sampled_by_hash
from haproxy_voip.rtp.flow import Side, StreamCounters, StreamPlan
from haproxy_voip.rtp.undelivered import Said, latest

TICK_SECONDS = 0.02
# Three packets in a row missing: longer than the jitter between servers, short enough to be heard as a click. Who is
# told asks the server whether it lives, and does nothing more.
SILENCE_SECONDS = 0.06
# Fewer packets since it last spoke are no regular sending that could be missed.
REGULAR_PACKETS = 5
# A tick this late says that we were stopped ourselves: what has come meanwhile is still in the sockets.
STALL_SECONDS = 0.04
# Whether one of those that are silent speaks again in the kernel is looked at every 60 ms; of all others when they seem
# to be silent.
QUIET_TICKS = 3
PRINT_TICKS = 10  # payloads are told of every 200 ms
MAX_PRINTS = 32_768  # of one telling; 10,000 streams bring fewer


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom the relay tells. Called from the event loop, never from within `install` or `remove`."""

    latched: Callable[[int, Side, Address], None]  # stream, side, where that party is from now on
    failed: Callable[[int, str], None]  # stream, why its ports cannot be had; an earlier plan stays in force
    refused: Callable[[int, Side], None]  # stream, side: ICMP says that nobody listens there; once for each plan
    # Payloads in the order in which they came; whether these are all.
    prints: Callable[[tuple[Print, ...], bool], None] = lambda prints, complete: None
    # Streams whose backends fell silent within one tick, and when the last of them was heard.
    silent: Callable[[tuple[int, ...], float], None] = lambda streams, since: None


@dataclass(slots=True)
class Stream:
    """A plan in force."""

    plan: StreamPlan
    client: End
    backend: End
    quiet: bool = True  # whether its backend has sent nothing for `SILENCE_SECONDS`
    passage: Passage | None = None  # its client's, from a bridge to the backend
    said: deque[Said] = field(default_factory=latest)  # by its client, of late; nothing while the kernel relays
    spoke_from: int = 0  # how many packets the backend had sent when it last began to speak

    def counters(self) -> StreamCounters:
        """Both directions, as of now."""
        self.client.refresh()
        self.backend.refresh()
        return StreamCounters(self.client.tally.counters(), self.backend.tally.counters())


class Watch:
    """The timer over all streams of one relay."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        streams: dict[int, Stream],
        cache: KernelCache | None = None,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._streams = streams
        self._cache = cache
        self._noisy: dict[int, Stream] = {}  # whose clients may hear noise
        self._prints: list[Print] = []
        self._complete = True
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._ticks = 0

    def follow(self, stream: Stream, replaced: bool) -> None:
        """A plan was installed; `replaced`: with another backend."""
        if replaced:
            stream.quiet = True
        if self._timer is None:
            self._set_timer(monotonic())

    def stop(self) -> None:
        """The relay closes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def noise(self, stream: Stream) -> None:
        """Begin or end the noise for this stream's client, as its plan says."""
        if not stream.plan.comfort_noise:
            stream.client.noise = None
            self._noisy.pop(stream.plan.stream, None)
        elif self._noisy.get(stream.plan.stream) is not stream:
            stream.client.begin_noise(monotonic())
            self._noisy[stream.plan.stream] = stream

    def said_by(self, stream: Stream) -> deque[Said] | None:
        """Where what its client says is kept; None: nowhere. The kernel would take some of it, and of a picture the
        last packets are no use.
        """
        return stream.said if self._cache is None and stream.plan.clock_hz != VIDEO_CLOCK_HZ else None

    def print_of(self, stream: Stream, side: Side) -> Look:
        """What tells of payloads that arrive on this side of this stream, and keeps what its client says."""
        number, by_hash = stream.plan.stream, self._cache is None
        said = self.said_by(stream) if side == "client" else None

        def look(size: int, now: float) -> bool:
            if said is not None:
                said.append((now, BUFFER[:size]))
            begin, end = payload_in_buffer(size)
            if end - begin >= MIN_PAYLOAD_BYTES and (by_hash or sampled(VIEW[begin:end])):
                payload_hash = hash_of(BUFFER[1] & 0x7F, bytes(VIEW[begin : min(end, begin + PRINT_BYTES)]))
                if not by_hash or sampled_by_hash(payload_hash):
                    self._print(Print(number, side, payload_hash, now))
            return True

        return look

    # ------------------------------------------------------------------------------------------------

    def _print(self, found: Print) -> None:
        if len(self._prints) < MAX_PRINTS:
            self._prints.append(found)
        else:
            self._complete = False

    def _set_timer(self, now: float) -> None:
        self._due_at = now + TICK_SECONDS
        self._timer = self._loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = monotonic()
        stalled = now - self._due_at > STALL_SECONDS
        self._timer = None
        if self._streams:
            self._set_timer(now)
        if self._cache is not None:
            self._cache.tick(now)
        if not stalled:
            self._tell_silent(now)
        for number, stream in list(self._noisy.items()):
            if self._streams.get(number) is stream:
                stream.client.make_noise(now)
            else:
                del self._noisy[number]
        self._ticks += 1
        if self._ticks % PRINT_TICKS == 0:
            self._tell_prints()

    def _tell_prints(self) -> None:
        prints, self._prints = self._prints, []
        complete, self._complete = self._complete, True
        if self._cache is not None:
            found, whole = self._cache.prints()
            prints = sorted(prints + found, key=_heard_at) if found else prints
            complete = complete and whole
        if prints or not complete:
            self._listener.prints(tuple(prints), complete)

    def _tell_silent(self, now: float) -> None:
        limit = now - SILENCE_SECONDS
        if self._cache is not None and self._ticks % QUIET_TICKS == 0:
            for stream in self._streams.values():
                if stream.quiet:
                    stream.backend.look()
        silent = [
            stream
            for stream in self._streams.values()
            # The usual case first: this is asked of every stream at every tick.
            if (stream.backend.tally.last_arrival < limit) is not stream.quiet and _fell_silent(stream, limit)
        ]
        if silent:
            since = max(stream.backend.tally.last_arrival for stream in silent)
            self._listener.silent(tuple(stream.plan.stream for stream in silent), since)


def _heard_at(found: Print) -> float:
    return found.at


def _fell_silent(stream: Stream, limit: float) -> bool:
    """Note that a backend speaks again or no longer does; whether it is odd that it does not."""
    tally, plan = stream.backend.tally, stream.plan
    stream.backend.look()
    if (tally.last_arrival < limit) is stream.quiet:
        return False  # the kernel has heard it meanwhile
    stream.backend.refresh()
    stream.client.look()
    stream.quiet = not stream.quiet
    if not stream.quiet:
        stream.spoke_from = tally.packets
        return False
    if tally.packets - stream.spoke_from < REGULAR_PACKETS or stream.backend.rtp.deaf:
        return False
    return plan.client.receives and plan.backend.receives and stream.client.tally.last_arrival >= limit
