"""The media of one call: which of our ports its two sides are told, and what the relay is to do.

Every m-line is one stream with a pair of our ports on each side. An SDP that crosses says where its author
wants media; it leaves with our port of the other side in place of the author's.

An offer takes effect at once, since media may come before the answer. It is taken back when it is refused
(`undo`); a stream that was rejected keeps its ports until both sides have agreed (`settle`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from haproxy_voip.core.address import Address
from haproxy_voip.proxy.effects import InstallStream, RemoveStream
from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.proxy.stream import Place, Spot, Stream, clock_of, codec_of, payload_types
from haproxy_voip.rtp.flow import Party, StreamPlan
from haproxy_voip.rtp.payload_types import can_be_joined
from haproxy_voip.rtp.ports import NoPorts
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Message
from haproxy_voip.sip.sdp import (
    Description,
    MediaSection,
    OriginKeeper,
    Rewrite,
    locate_sdp,
    parse,
    replace_sdp,
    rewritten,
)

SDP = "application/sdp"


def carries_sdp(message: Message) -> bool:
    """Whether there is a session description in the body, alone or among others. Raises MessageError."""
    content_type = message.content_type
    if content_type is None or not message.body:
        return False
    if content_type == SDP:
        return True
    return content_type.startswith("multipart/") and locate_sdp(message.get("content-type"), message.body) is not None


@dataclass(slots=True)
class Agreement:
    """What was in force before an offer."""

    last: dict[Side, Description]
    streams: list[Stream | None]


class CallMedia:
    """All streams of a call. Plans collect in `plans` until whoever carries a body sends them on."""

    __slots__ = (
        "_before", "_changed", "_dropped", "_last", "_origins", "_places", "_ports_changed", "_released", "_shared",
        "_streams", "_token",
    )  # fmt: skip

    def __init__(self, shared: Shared, places: dict[Side, Place], token: str = "") -> None:
        """`token` is the call's, for people."""
        self._shared = shared
        self._token = token
        self._places = places
        self._origins: dict[Side, OriginKeeper] = {}  # of an offer made before there was a leg
        self._streams: list[Stream | None] = []  # by m-line; None: cannot or need not be relayed
        self._last: dict[Side, Description] = {}  # the last description from each side
        self._before: Agreement | None = None  # an offer is under way
        # What the relay is to be told: of each stream the last word only, as a change often comes in several steps.
        self._changed: dict[int, tuple[Stream, bool]] = {}  # by number: the stream, whether a bridge is handed over
        self._dropped: list[Output] = []
        self._ports_changed = False  # and nobody was told yet
        self._released = False

    # -- carrying a description across --------------------------------------------------------------

    def translate(self, message: Message, came_from: Side, to: Leg | None = None) -> bytes:
        """The body as the other side gets it, on this leg if there is one yet. Raises MessageError."""
        description = self.hear(message, came_from)
        if description is None:
            return message.body
        sdp = self.written(description, came_from.other, to)
        return replace_sdp(message.get("content-type"), message.body, sdp)

    def hear(self, message: Message, side: Side, told: bool = True) -> Description | None:
        """What this message from this side says of its media, None for nothing; `told`: the other side is told.

        Raises MessageError.
        """
        found = locate_sdp(message.get("content-type"), message.body)
        if found is None:
            return None
        if (message.get("content-encoding") or "identity").lower() != "identity":
            raise MessageError("a session description in a content encoding", status=415)
        description = parse(message.body[found])
        self.learn(description, side, told)
        return description

    def written(self, description: Description, side: Side, to: Leg | None) -> bytes:
        """A description of the other side as this one gets it."""
        place = self._places[side]
        ports: list[int | None] = [
            stream.spot(side).port if stream is not None and section.carrier is not None else 0
            for stream, section in zip(self._streams, description.medias, strict=False)
        ]
        return rewritten(description, Rewrite(place.advertised, ports, self._origin(side, to)))

    def _origin(self, side: Side, leg: Leg | None) -> OriginKeeper:
        """Each dialog has an o= line of its own; those of one INVITE go on from the offer in it."""
        origin = self._origins.get(side) if leg is None or leg.origin is None else leg.origin
        if origin is None:
            origin = OriginKeeper.begin(self._shared.chance, self._places[side].advertised)
        if leg is None:
            self._origins[side] = origin
        else:
            leg.origin = origin
        return origin

    def learn(self, description: Description, side: Side, told: bool = True) -> None:
        """Note where this side wants its media, and plan accordingly. Raises MessageError when ports are short."""
        if self._released:
            raise MessageError("the call is over", status=481)
        known = self._last.get(side)
        same = known is not None and known.lines == description.lines and len(known.medias) == len(self._streams)
        if same and not self._ports_changed:
            return  # the same once more: an answer after its 183, a refresh
        for index, section in enumerate(description.medias):
            if index >= len(self._streams):
                self._streams.append(None)
            self._streams[index] = stream = self._stream(self._streams[index], section)
            if stream is None:
                continue
            spot = stream.spot(side)
            used = section.carrier is not None
            spot.remote = section.address if used else None
            spot.remote_rtcp = section.rtcp_address if used else None
            spot.mux, spot.receives = section.mux, section.receives and used
            spot.payload_types = payload_types(description, section)
            if told:
                stream.spot(side.other).sends = spot.payload_types
            stream.clock_hz = clock_of(spot.payload_types)
            self._plan(stream)
        self._last[side] = description
        self._ports_changed = False

    def _stream(self, known: Stream | None, section: MediaSection) -> Stream | None:
        """The stream of this m-line, made when it is first used.

        What is no datagram (MSRP, BFCP over TCP) cannot be anchored, and is refused rather than leak addresses.
        """
        carrier = section.carrier
        if section.rejected or carrier is None:
            return known
        kind = cast("Literal['rtp', 'udptl']", carrier)
        if known is not None:
            known.kind = kind
            return known
        client, backend = self._take_two()
        return Stream(self._shared.next_stream(), kind, Spot(client), Spot(backend))

    def _take_two(self) -> tuple[int, int]:
        client = self._take()
        try:
            return client, self._take()
        except MessageError:
            self._shared.ports.give_back(client, self._shared.now)
            raise

    def _take(self) -> int:
        try:
            return self._shared.ports.take(self._shared.now)
        except NoPorts as error:
            raise MessageError(f"media.ports: {error}", status=503) from None

    # -- agreeing -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """An offer in a session that goes on is about to be carried across."""
        streams = [None if stream is None else stream.copy() for stream in self._streams]
        self._before = Agreement(dict(self._last), streams)

    def settle(self) -> None:
        """Both sides agree: what one of them rejected is given up (RFC 3264 section 6)."""
        self._before = None
        for index, stream in enumerate(self._streams):
            if stream is not None and any(_rejects(one, index) for one in self._last.values()):
                self._drop(stream)
                self._streams[index] = None

    def undo(self) -> None:
        """The offer was refused: "the session parameters MUST remain unchanged" (RFC 3261 section 14.1)."""
        before, self._before = self._before, None
        if before is None:
            return
        for index, stream in enumerate(self._streams):
            former = before.streams[index] if index < len(before.streams) else None
            if stream is not None and former is None:
                self._drop(stream)
            elif stream is not None and former is not None and former != stream:
                former.generation, former.installed = stream.generation, stream.installed
                self._plan(former)
        self._streams, self._last = before.streams, before.last

    # -- the relay ----------------------------------------------------------------------------------

    def _plan(self, stream: Stream, handover: bool = False) -> None:
        stream.generation += 1
        self._changed[stream.number] = (stream, handover)

    def _planned(self, stream: Stream, handover: bool = False) -> StreamPlan:
        client, backend = self._party(stream, Side.CLIENT), self._party(stream, Side.BACKEND)
        return StreamPlan(
            stream.number,
            stream.kind,
            client,
            backend,
            stream.generation,
            stream.clock_hz,
            bridge=stream.bridge,
            handover=handover,
            comfort_noise=stream.comfort,
            prints=stream.kind == "rtp",
            encrypted=self._encrypted,
        )

    def _party(self, stream: Stream, side: Side) -> Party:
        place, spot = self._places[side], stream.spot(side)
        # RTCP is multiplexed only where both sides said so (RFC 5761 section 5.1.1), which our side repeats.
        mux = stream.client.mux and stream.backend.mux
        return Party(
            Address(place.listen, spot.port),
            spot.remote,
            spot.remote_rtcp,
            place.signalling_host,
            mux,
            spot.receives,
            spot.payload_types,
            spot.sends,
        )

    def plans(self) -> list[Output]:
        """What the relay must do, told once."""
        if not self._changed and not self._dropped:
            return []
        changed, self._changed = self._changed, {}
        outputs, self._dropped = self._dropped, []
        for stream, handover in changed.values():
            stream.installed = True
            outputs.append(InstallStream(self._planned(stream, handover)))
        return outputs

    def cannot_bind(self, number: int) -> None:
        """Somebody else has ports of this stream: set them aside. The next description that crosses tells others."""
        before = [] if self._before is None else self._before.streams
        found = [stream for stream in (*self._streams, *before) if stream is not None and stream.number == number]
        if not found:
            return
        try:
            client, backend = self._take_two()
        except MessageError:
            return  # there are no others
        for spot in (found[0].client, found[0].backend):
            self._shared.ports.broken(spot.port, self._shared.now)
        for stream in found:
            stream.client.port, stream.backend.port = client, backend
        self._ports_changed = True

    # -- while no backend carries the call ----------------------------------------------------------

    def join(self, other: CallMedia, alive: bool = False) -> bool:
        """Let our client and the other call's client hear each other; whether there is a stream for it.

        `alive`: what the backend has on its way to them arrives yet.
        """
        pairs = self._joinable(other)
        for ours, theirs in pairs:
            ours.bridge, theirs.bridge = theirs.number, ours.number
            self._plan(ours, handover=alive)
            other._plan(theirs, handover=alive)
        return bool(pairs)

    def joinable(self, other: CallMedia) -> bool:
        """Whether that can be done."""
        return bool(self._joinable(other))

    def _joinable(self, other: CallMedia) -> list[tuple[Stream, Stream]]:
        if self._encrypted or other._encrypted:
            return []  # each has keys for its backend only
        return [
            (ours, theirs)
            for ours, theirs in zip(self._streams, other._streams, strict=False)
            if ours is not None
            and theirs is not None
            and ours.kind == theirs.kind == "rtp"
            and can_be_joined(self._planned(ours), other._planned(theirs))
        ]

    def part(self) -> None:
        """A backend carries the call again; who was joined hears the other until media come from there."""
        for stream in self._streams:
            if stream is not None and (stream.bridge is not None or stream.comfort):
                joined = stream.bridge is not None
                stream.bridge, stream.comfort = None, False
                self._plan(stream, handover=joined)

    def comfort(self, wanted: bool) -> None:
        """Whether our client is to hear comfort noise until media come for it."""
        for stream in self._streams:
            if stream is not None and stream.kind == "rtp" and stream.comfort is not wanted:
                stream.comfort = wanted
                self._plan(stream)

    @property
    def _encrypted(self) -> bool:
        """Whether the parties have keys of their own (RFC 3711): then not a byte may be changed."""
        return any(
            section.proto.upper().startswith(("RTP/SAVP", "UDP/TLS/"))
            for description in self._last.values()
            for section in description.medias
        )

    def silent(self, side: Side) -> bool:
        """Whether this side wants nothing of what it could be sent."""
        used = [stream.spot(side).receives for stream in self._streams if stream is not None]
        return bool(used) and not any(used)

    @property
    def streams(self) -> list[int]:
        """The numbers of the streams in use."""
        return [stream.number for stream in self._streams if stream is not None]

    @property
    def backend_ports(self) -> list[Address]:
        """Where the backend was told to send."""
        host = self._places[Side.BACKEND].advertised
        return [Address(host, stream.backend.port) for stream in self._streams if stream is not None]

    @property
    def backend_remotes(self) -> list[Address]:
        """Where the backend wants to be sent to."""
        remotes = [stream.backend.remote for stream in self._streams if stream is not None]
        return [remote for remote in remotes if remote is not None]

    # -- changes behind the call --------------------------------------------------------------------

    def forget(self, side: Side, place: Place | None = None) -> None:
        """Another server takes this side: where the former one wanted its media no longer matters."""
        self._last.pop(side, None)
        self._origins.pop(side, None)
        self._before = None
        elsewhere = place is not None and place != self._places[side]
        if place is not None:
            self._places[side] = place
        self._cut_off(side)
        for stream in self._streams:
            if stream is not None and elsewhere:
                self._plan(stream)

    def _cut_off(self, side: Side) -> None:
        """Nobody on this side is sent anything, or heard, until its server says anew where it is."""
        for stream in self._streams:
            spot = None if stream is None else stream.spot(side)
            if stream is not None and spot is not None and (spot.remote, spot.remote_rtcp) != (None, None):
                spot.remote = spot.remote_rtcp = None
                self._plan(stream)

    def described(self, side: Side) -> Description | None:
        """The last description from this side."""
        return self._last.get(side)

    def release(self) -> list[Output]:
        """The call is over: free everything."""
        self._before, self._released = None, True
        for stream in self._streams:
            if stream is not None:
                self._drop(stream)
        self._streams.clear()
        return self.plans()

    def _drop(self, stream: Stream) -> None:
        self._changed.pop(stream.number, None)
        if stream.installed:
            self._dropped.append(RemoveStream(stream.number))
            self._shared.removed[stream.number] = (self._token, codec_of(stream))
        self._shared.ports.give_back(stream.client.port, self._shared.now)
        self._shared.ports.give_back(stream.backend.port, self._shared.now)


def _rejects(description: Description, index: int) -> bool:
    if index >= len(description.medias):
        return False
    section = description.medias[index]
    return section.rejected or section.carrier is None
