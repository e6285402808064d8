"""The media of one call: which of our ports its two sides are told, and what the relay is to do.

Every m-line is one stream with a pair of our ports on each side. An SDP that crosses says where its author
wants media; it leaves with our port of the other side in place of the author's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

from haproxy_voip.core.address import Address
from haproxy_voip.proxy.effects import InstallStream, RemoveStream
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.rtp.flow import DEFAULT_CLOCK_HZ, Party, StreamPlan
from haproxy_voip.rtp.ports import NoPorts
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Message
from haproxy_voip.sip.sdp import (
    Description,
    MediaSection,
    OriginKeeper,
    Rewrite,
    codecs,
    codecs_equal,
    locate_sdp,
    parse,
    replace_sdp,
    rewritten,
)

SDP = "application/sdp"


def carries_sdp(message: Message) -> bool:
    """Whether there is a session description in the body, alone or among others."""
    content_type = message.content_type
    if content_type is None or not message.body:
        return False
    return content_type == SDP or content_type.startswith("multipart/")


@dataclass(slots=True)
class Spot:
    """What we know of one side of a stream."""

    port: int  # our even port there
    remote: Address | None = None
    remote_rtcp: Address | None = None
    mux: bool = False
    receives: bool = True


@dataclass(slots=True)
class Stream:
    """One m-line."""

    number: int
    kind: Literal["rtp", "udptl"]
    client: Spot
    backend: Spot
    generation: int = 0
    clock_hz: int = DEFAULT_CLOCK_HZ

    def spot(self, side: Side) -> Spot:
        """One side of it."""
        return self.client if side is Side.CLIENT else self.backend


@dataclass(frozen=True, slots=True)
class Place:
    """Where one side's media meets us and where its signalling comes from."""

    listen: str  # the address our ports are bound to
    advertised: str  # the address its SDP says
    signalling_host: str


class CallMedia:
    """All streams of a call. Plans collect in `plans` until whoever carries a body sends them on."""

    __slots__ = ("_last", "_origins", "_places", "_plans", "_shared", "_streams")

    def __init__(self, shared: Shared, places: dict[Side, Place]) -> None:
        self._shared = shared
        self._places = places
        self._origins: dict[Side, OriginKeeper] = {}
        self._streams: list[Stream | None] = []  # by m-line; None: cannot or need not be relayed
        self._last: dict[Side, Description] = {}  # the last description from each side
        self._plans: list[Output] = []

    # -- carrying a description across --------------------------------------------------------------

    def translate(self, message: Message, came_from: Side) -> bytes:
        """The body as the other side gets it. Raises MessageError when it cannot be taken."""
        content_type = message.get("content-type")
        found = locate_sdp(content_type, message.body)
        if found is None:
            return message.body
        description = parse(message.body[found])
        self._learn(description, came_from)
        sdp = rewritten(description, self._rewrite(description, came_from.other))
        return replace_sdp(content_type, message.body, sdp)

    def _learn(self, description: Description, side: Side) -> None:
        """Note where this side wants its media, and plan accordingly."""
        known = self._last.get(side)
        self._last[side] = description
        if known is not None and known.lines == description.lines and len(known.medias) == len(self._streams):
            return  # the same once more: an answer after its 183, a refresh
        for index, section in enumerate(description.medias):
            if index >= len(self._streams):
                self._streams.append(None)
            self._streams[index] = stream = self._stream(self._streams[index], section)
            if stream is None:
                continue
            spot = stream.spot(side)
            spot.remote, spot.remote_rtcp = section.address, section.rtcp_address
            spot.mux, spot.receives = section.mux, section.receives
            stream.clock_hz = _clock(description, section)
            stream.generation += 1
            self._plan(stream)

    def _stream(self, known: Stream | None, section: MediaSection) -> Stream | None:
        """The stream of this m-line; made when it is first used, given up when it is rejected (RFC 3264 section 6)."""
        carrier = section.carrier
        if section.rejected or carrier is None:
            if known is not None:
                self._drop(known)
            return None
        if known is not None:
            known.kind = cast("Literal['rtp', 'udptl']", carrier)
            return known
        client = self._take()
        try:
            backend = self._take()
        except MessageError:
            self._shared.ports.give_back(client, self._shared.now)
            raise
        number = self._shared.next_stream()
        return Stream(number, cast("Literal['rtp', 'udptl']", carrier), Spot(client), Spot(backend))

    def _take(self) -> int:
        try:
            return self._shared.ports.take(self._shared.now)
        except NoPorts as error:
            raise MessageError(f"media.ports: {error}", status=503) from None

    def _rewrite(self, description: Description, side: Side) -> Rewrite:
        place = self._places[side]
        origin = self._origins.get(side)
        if origin is None:
            origin = self._origins[side] = OriginKeeper.begin(self._shared.chance, place.advertised)
        ports: list[int | None] = [
            stream.spot(side).port if stream is not None else _untouched(section)
            for stream, section in zip(self._streams, description.medias, strict=False)
        ]
        return Rewrite(place.advertised, ports, origin)

    # -- the relay ----------------------------------------------------------------------------------

    def _plan(self, stream: Stream) -> None:
        plan = StreamPlan(
            stream.number,
            stream.kind,
            self._party(stream, Side.CLIENT),
            self._party(stream, Side.BACKEND),
            stream.generation,
            stream.clock_hz,
        )
        self._plans.append(InstallStream(plan))

    def _party(self, stream: Stream, side: Side) -> Party:
        place, spot = self._places[side], stream.spot(side)
        # RTCP is multiplexed only where both sides said so (RFC 5761 section 5.1.1), which our side repeats.
        mux = stream.client.mux and stream.backend.mux
        return Party(
            Address(place.listen, spot.port), spot.remote, spot.remote_rtcp, place.signalling_host, mux, spot.receives
        )

    def plans(self) -> list[Output]:
        """What the relay must do, told once."""
        plans, self._plans = self._plans, []
        return plans

    # -- changes behind the call --------------------------------------------------------------------

    def forget(self, side: Side, signalling_host: str | None = None) -> None:
        """Another server takes this side: where the former one wanted its media no longer matters."""
        self._last.pop(side, None)
        self._origins.pop(side, None)
        if signalling_host is not None:
            self._places[side] = replace(self._places[side], signalling_host=signalling_host)
        for stream in self._streams:
            if stream is not None:
                spot = stream.spot(side)
                spot.remote = spot.remote_rtcp = None
                stream.generation += 1
                self._plan(stream)

    def same_offer(self, message: Message, former: Description | None) -> bool:
        """Whether an answer to the `former` offer is one to this message's offer as well."""
        found = locate_sdp(message.get("content-type"), message.body)
        if found is None or former is None:
            return found is None and former is None
        try:
            return codecs_equal(former, parse(message.body[found]))
        except MessageError:
            return False

    def described(self, side: Side) -> Description | None:
        """The last description from this side."""
        return self._last.get(side)

    def release(self) -> list[Output]:
        """The call is over: free everything."""
        for index, stream in enumerate(self._streams):
            if stream is not None:
                self._drop(stream)
                self._streams[index] = None
        return self.plans()

    def _drop(self, stream: Stream) -> None:
        if stream.generation:
            self._plans.append(RemoveStream(stream.number))
        self._shared.ports.give_back(stream.client.port, self._shared.now)
        self._shared.ports.give_back(stream.backend.port, self._shared.now)

    @property
    def streams(self) -> list[int]:
        """The numbers of the streams in use."""
        return [stream.number for stream in self._streams if stream is not None]


def _untouched(section: MediaSection) -> int | None:
    """Rejected stays rejected; what is no datagram cannot be anchored, and is refused rather than leak addresses."""
    return 0


def _clock(description: Description, section: MediaSection) -> int:
    """The clock rate of the first format, hertz (RFC 4566 rtpmap)."""
    for codec, _ in codecs(description, section).values():
        rate = codec.partition("/")[2].partition("/")[0]
        if rate.isdigit():
            return int(rate) or DEFAULT_CLOCK_HZ
    return DEFAULT_CLOCK_HZ
