"""A client's passage from a bridge to a server, packet by packet (rtp.handover).

For a moment it is sent to on two ways: what the other client says arrives directly, and goes to the server as well;
what the server makes of it is listened to, and takes over.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from haproxy_voip.edge.media_end import End
from haproxy_voip.edge.media_leg import BUFFER, VIEW, Look
from haproxy_voip.rtp.fingerprint import hash_of
from haproxy_voip.rtp.flow import StreamPlan
from haproxy_voip.rtp.handover import LIMIT_SECONDS, Handover
from haproxy_voip.rtp.header import FIXED_BYTES, ORDER, VERSION_BITS
from haproxy_voip.rtp.joint import Joint, payload_bounds
from haproxy_voip.rtp.payload_types import conversion
from haproxy_voip.rtp.undelivered import Said

# The first byte of an RTP header without padding, extension or CSRC list.
PLAIN = VERSION_BITS
# When at the latest nothing is left to be done: it hears the server, and what it had heard before has been left out.
OVER_SECONDS = LIMIT_SECONDS + 0.3


@dataclass(slots=True)
class Passage:
    """Of the client `end`, which heard the other stream's client directly and shall hear `server`."""

    end: End
    server: End
    other: int  # the other stream, whose client makes the same passage
    handover: Handover
    done_at: float | None = None

    def direct_way(self, talker: StreamPlan, said: deque[Said] | None) -> Look:
        """What sends the client all that arrives from the other, on its way to that one's own server.

        What goes to that server alone is kept in `said`, if somebody keeps it.
        """
        outgoing = None if self.end.hearing is None else self.end.hearing.outgoing
        joint = Joint(outgoing, conversion(talker.client, talker.backend.payload_types, self.end.party))

        def look(size: int, now: float) -> bool:
            if self.handover.direct(_payload_hash(size), now):
                packet = bytearray(VIEW[:size])
                if joint.carry(packet, size, now):
                    self.end.rtp.speak(packet)
            else:
                if said is not None:
                    said.append((now, BUFFER[:size]))
                if self.done_at is None:
                    self._hear_the_server(now)
            return True

        return look

    def by_the_server(self) -> Look:
        """What lets the client hear what arrives from the server, as soon as it is time."""

        def look(size: int, now: float) -> bool:
            heard = self.handover.served(_payload_hash(size), now)
            if self.handover.done and self.done_at is None:
                self._hear_the_server(now)
            elif not heard and self.done_at is not None and self.end.hearing is not None:
                sequence, _, ssrc = ORDER.unpack_from(BUFFER)
                self.end.hearing.outgoing.skip(sequence, ssrc)
            return heard

        return look

    def end_now(self, now: float) -> None:
        """Hear the server whatever it says, but for what was heard directly."""
        if self.done_at is None:
            self.handover.end(now)
            self._hear_the_server(now)

    def _hear_the_server(self, now: float) -> None:
        self.handover.done = True
        self.done_at = now
        self.end.hear(self.server)


def payload_in_buffer(size: int) -> tuple[int, int]:
    """Where the RTP payload in the buffer begins and ends."""
    return (FIXED_BYTES, size) if BUFFER[0] == PLAIN else payload_bounds(BUFFER, size)


def _payload_hash(size: int) -> int:
    begin, end = payload_in_buffer(size)
    return hash_of(BUFFER[1] & 0x7F, bytes(VIEW[begin:end]))
