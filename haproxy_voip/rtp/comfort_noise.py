"""What a party hears while nobody speaks to it: faint noise, so that it does not take the line for dead.

G.711 has room for the noise itself; for other codecs RFC 3389 says it in one byte, where the party takes it.
The noise is one table of values that nobody can predict by ear, read from a place that moves on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from haproxy_voip.rtp.flow import PayloadTypes
from haproxy_voip.rtp.g711 import A_LAW_ZERO, MU_LAW_ZERO, SIGN
from haproxy_voip.rtp.payload_types import PCMA, PCMU, speech

PACKET_SECONDS = 0.02
PACKET_SAMPLES = 160  # of G.711 in that time
# An unanswered rebuild ends the call long before; and a flag forgotten must not talk to a phone for ever.
LIMIT_SECONDS = 30.0
# After a pause of our own no burst is sent: what is more than this late is never missed.
MOST_AT_ONCE = 3
# A timer of the same period fires now a little before, now a little after.
EARLY_SECONDS = 0.005

COMFORT_NOISE = "cn/8000"
LEVEL = 66  # RFC 3389 section 3.1: -dBov, the background of a quiet room
TABLE_SAMPLES = 4001  # half a second, and no multiple of a packet, so that no two packets are alike for 80 s
# The few lowest levels of each law: about -66 dBov.
MU_LEVELS, A_LEVELS = 4, 2


def _scatter(count: int, levels: int, zero: int) -> bytes:
    """The bits of a linear congruential generator (Numerical Recipes' constants): random enough for an ear."""
    state, values = 1, bytearray()
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
        level = (state >> 16) % levels
        values.append(zero ^ level ^ (SIGN if state >> 31 else 0))
    return bytes(values)


TABLES: Final = {
    PCMU: _scatter(TABLE_SAMPLES, MU_LEVELS, MU_LAW_ZERO),
    PCMA: _scatter(TABLE_SAMPLES, A_LEVELS, A_LAW_ZERO),
}


@dataclass(slots=True)
class ComfortNoise:
    """The noise for one party. Times are monotonic seconds."""

    payload_type: int
    table: bytes | None  # None: RFC 3389
    next_at: float
    until: float
    _at: int = 0

    @classmethod
    def begin(cls, types: PayloadTypes, now: float) -> ComfortNoise | None:
        """None when the party takes no noise that we could make."""
        spoken = speech(types)
        if spoken is None:
            return None
        number, codec = spoken
        table = TABLES.get(codec)
        if table is None:
            numbers = {name: known for known, name in types}
            if COMFORT_NOISE not in numbers:
                return None
            number = numbers[COMFORT_NOISE]
        return cls(number, table, now, now + LIMIT_SECONDS)

    def due(self, now: float) -> list[bytes]:
        """The payloads to be sent now, mostly one."""
        late = now + EARLY_SECONDS - self.next_at
        if now >= self.until or late < 0:
            return []
        count = int(late / PACKET_SECONDS) + 1
        self.next_at += count * PACKET_SECONDS
        return [self._payload() for _ in range(min(count, MOST_AT_ONCE))]

    def _payload(self) -> bytes:
        if self.table is None:
            return bytes((LEVEL,))
        begin = self._at
        self._at = (begin + PACKET_SAMPLES) % TABLE_SAMPLES
        return (self.table + self.table)[begin : begin + PACKET_SAMPLES]
