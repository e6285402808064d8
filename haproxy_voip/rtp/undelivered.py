"""What a client said to a server that died before it passed it on: the other client can have it yet.

Nothing can have been passed on that was said after the server last spoke to the other client. Of what was said before
that nobody knows, so it is left to the server: better one packet missing than one heard twice. Sans-I/O; times are
monotonic seconds.
"""

from __future__ import annotations

from collections import deque

# It comes late all at once, and waits in the other's jitter buffer: no phone has room for more.
LATE_SECONDS = 0.06
# So many fit into that time in nearly all calls; where packets are shorter than 20 ms some are given up.
KEPT = 4


Said = tuple[float, bytearray]  # when a packet of a client's came, and the packet


def latest() -> deque[Said]:
    """For the last packets of one client, the newest at the end."""
    return deque(maxlen=KEPT)


def undelivered(said: deque[Said], spoke_at: float, now: float) -> list[Said]:
    """What a server that was last heard at `spoke_at` by the other client never passed on to it, in order."""
    since = max(spoke_at, now - LATE_SECONDS)
    return [(at, packet) for at, packet in said if at > since]
