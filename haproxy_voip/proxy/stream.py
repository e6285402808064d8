"""One m-line of a call as the node knows it: our ports on both sides, and what each side said of itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from haproxy_voip.core.address import Address, Flow
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.shared import Shared
from haproxy_voip.rtp.flow import DEFAULT_CLOCK_HZ, PayloadTypes
from haproxy_voip.sip.sdp import Description, MediaSection, encodings


@dataclass(slots=True)
class Spot:
    """What we know of one side of a stream."""

    port: int  # our even port there
    remote: Address | None = None
    remote_rtcp: Address | None = None
    mux: bool = False
    receives: bool = True
    payload_types: PayloadTypes = ()  # what its SDP asks for
    sends: PayloadTypes = ()  # what it was told to send, which outlives whoever told it


@dataclass(slots=True)
class Stream:
    """One m-line."""

    number: int
    kind: Literal["rtp", "udptl"]
    client: Spot
    backend: Spot
    generation: int = 0
    installed: bool = False  # the relay knows it
    clock_hz: int = DEFAULT_CLOCK_HZ
    bridge: int | None = None  # the stream whose client hears ours while no backend carries the call
    comfort: bool = False  # nobody is there to be heard; a little noise says that the line is not dead

    def spot(self, side: Side) -> Spot:
        """One side of it."""
        return self.client if side is Side.CLIENT else self.backend

    def copy(self) -> Stream:
        """The same, to be changed apart from this one."""
        return replace(self, client=replace(self.client), backend=replace(self.backend))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one side's media meets us and where its signalling comes from."""

    listen: str  # the address our ports are bound to
    advertised: str  # the address its SDP says
    signalling_host: str

    @classmethod
    def on(cls, shared: Shared, flow: Flow) -> Place:
        """For a side that is spoken to on this flow."""
        config = shared.config
        return cls(config.media_listen(flow.local), config.media_address(flow.local), flow.remote.host)


def payload_types(description: Description, section: MediaSection) -> PayloadTypes:
    """What each payload type of the m-line means; formats that are no numbers are not told."""
    return tuple([(int(name), codec) for name, codec in encodings(description, section).items() if name.isdigit()])


def codec_of(stream: Stream) -> str:
    """What both sides want first, `pcmu/8000`; "" when they have nothing in common."""
    if stream.kind != "rtp":
        return stream.kind
    wanted = [codec for _, codec in stream.client.payload_types]
    known = [codec for _, codec in stream.backend.payload_types] or wanted
    return next((codec for codec in wanted if codec in known), "")


def clock_of(payload_types: PayloadTypes) -> int:
    """The clock rate of the first format, hertz (RFC 8866 section 6.6)."""
    for _, codec in payload_types:
        rate = codec.partition("/")[2].partition("/")[0]
        if rate.isdigit():
            return int(rate) or DEFAULT_CLOCK_HZ
    return DEFAULT_CLOCK_HZ
