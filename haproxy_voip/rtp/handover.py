"""From a bridge back to a server without a click: when to leave the one for the other, and what not to hear twice.

While two clients are joined directly, a server is given what they say as well. As soon as it sends out on one leg what
came in on the other, its way is whole: from then on the client hears the server. What it has heard already on the
direct way, which is the shorter one, is left out, also when it comes out of the server behind what was said after it;
nothing is missing, all that happens is that the way grows longer. A server that sends something else, because it
transcodes, is waited for no longer than `PATIENCE_SECONDS`.

Sans-I/O; `now` is monotonic seconds. Payloads are known by their hashes.
"""

from __future__ import annotations

from collections import Counter, deque

# From the first packet of the server on. Its jitter buffer and the learning of addresses take less.
PATIENCE_SECONDS = 0.25
# From the end of the bridge on, if the server says nothing at all.
LIMIT_SECONDS = 1.0
# From when the server has come past a packet to when it sends it no more: one overtook another, or nobody knows how far
# the server is.
BEHIND_SECONDS = 0.25
# What was sent on the direct way in the time that a packet takes through the server.
REMEMBERED = 32


class Handover:
    """One client's passage from the direct way to the server."""

    __slots__ = ("_behind", "_direct", "_since", "_spoke_at", "done")

    def __init__(self, now: float) -> None:
        self.done = False  # the client hears the server
        self._since = now
        self._spoke_at: float | None = None  # when the server was first heard
        self._direct: deque[int] = deque(maxlen=REMEMBERED)  # sent to the client directly, and not yet by the server
        self._behind: dict[int, float] = {}  # the same, but the server has come past them; until when they may come yet

    def direct(self, payload_hash: int, now: float) -> bool:
        """A packet for the client came on the direct way; whether to send it."""
        if now >= self._since + LIMIT_SECONDS:
            self.end(now)
        elif not self.done:
            self._direct.append(payload_hash)
        return not self.done

    def served(self, payload_hash: int, now: float) -> bool:
        """A packet for the client came from the server; whether to send it."""
        if self._spoke_at is None:
            self._spoke_at = now
        if self._behind.pop(payload_hash, now) > now:
            return False
        times = self._direct.count(payload_hash)
        if not self.done and times != 1:
            # What was sent several times, silence or a tone, does not tell how far the server is.
            if now < min(self._spoke_at + PATIENCE_SECONDS, self._since + LIMIT_SECONDS):
                return False
            self.end(now)
            times = 0
        self.done = True
        if times:
            self._pass(payload_hash, now)
        return not times

    def end(self, now: float) -> None:
        """Let the client hear the server, however far that is.

        Of what is like nothing else nothing is heard twice. All other is sent as it comes: some packets twice is better
        than as many missing as were sent meanwhile.
        """
        self.done = True
        self._pass(None, now)

    def _pass(self, payload_hash: int | None, now: float) -> None:
        """The server has come to this packet; None: past all of them."""
        times = Counter(self._direct)
        while self._direct and (passed := self._direct.popleft()) != payload_hash:
            if times[passed] == 1:
                self._behind[passed] = now + BEHIND_SECONDS
