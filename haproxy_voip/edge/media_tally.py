"""What is counted of one party of a relayed stream while packets pass: plain fields, cheap to add to."""

from __future__ import annotations

from dataclasses import dataclass

from haproxy_voip.rtp.flow import Counters
from haproxy_voip.rtp.sequence import Reception


@dataclass(slots=True)
class Tally:
    """What one party of a stream sent, on whichever port."""

    reception: Reception
    packets: int = 0
    bytes: int = 0
    rtcp: int = 0
    last_arrival: float = 0.0  # 0: nothing came yet
    dropped: int = 0
    unsent: int = 0
    refused: int = 0

    def counters(self) -> Counters:
        """The state of now, to keep."""
        return Counters(
            packets=self.packets,
            bytes=self.bytes,
            rtcp=self.rtcp,
            lost=self.reception.lost,
            jitter=self.reception.jitter,
            last_arrival=self.last_arrival or None,
            dropped=self.dropped,
            unsent=self.unsent,
            refused=self.refused,
        )
