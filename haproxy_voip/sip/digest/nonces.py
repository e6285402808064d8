"""Nonces that need no memory to be checked, and the memory of how often each was used.

A nonce is the time it was made, a serial number and a MAC over both and the realm, so any node that has
the key knows another's (RFC 7616 section 5.4 suggests the like). What must be remembered is only which
nonce counts were seen (section 3.4.5): a bounded table, in which forgetting costs a client one more challenge
and never opens a replay.
"""

from __future__ import annotations

import hmac
import struct
from collections import OrderedDict
from hashlib import blake2b, sha256

# How long a nonce serves. Phones reuse it for the requests of one call; a stale one costs one round trip.
NONCE_LIFE = 300.0
# How far the clock of the node that made a nonce may be ahead of ours.
CLOCK_SKEW = 5.0
# About 250 bytes each; a nonce enters only when right credentials were given for it, and leaves when it serves no more.
MAX_NONCES = 65_536
# Requests sent at once over UDP may overtake each other by this many counts.
COUNT_WINDOW = 64
# What a response without qop counts as: RFC 2069 has no count, so such a nonce serves once.
UNCOUNTED = 2**32 - 1

STAMP = struct.Struct("!QL")  # microseconds, serial
MAC_LENGTH = 12  # 96 bits of keyed BLAKE2b (RFC 7693 section 2.9), which costs a third of an HMAC
NONCE_LENGTH = 2 * (STAMP.size + MAC_LENGTH)
MICROSECONDS = 1_000_000


class Nonces:
    """Makes nonces for one realm and says which still serve.

    `now` must be a clock that all nodes with this key agree on: seconds of wall-clock time.
    """

    __slots__ = ("_key", "_realm", "_serial", "counts")

    def __init__(self, key: bytes, realm: str) -> None:
        self._key = sha256(key).digest()  # BLAKE2b takes no key longer than 64 bytes
        self._realm = realm.encode("utf-8", "surrogateescape")
        self._serial = 0
        self.counts = NonceCounts()

    def make(self, now: float) -> str:
        """A nonce nobody got before from this node."""
        self._serial = (self._serial + 1) & 0xFFFFFFFF
        stamp = STAMP.pack(int(now * MICROSECONDS), self._serial)
        return (stamp + self._mac(stamp)).hex()

    def use(self, nonce: str, count: int, now: float) -> bool:
        """Whether the nonce is ours, young enough and not yet used with this count; from now on it is used.

        To be asked only once the response was found right, lest strangers use up counts.
        """
        stamp = self._stamp(nonce)
        if stamp is None:
            return False
        issued, serial = STAMP.unpack(stamp)
        age = now - issued / MICROSECONDS
        if not -CLOCK_SKEW <= age < NONCE_LIFE:
            return False
        self.counts.forget(int((now - NONCE_LIFE) * MICROSECONDS) << 32)
        return self.counts.use(issued << 32 | serial, count)

    def _stamp(self, nonce: str) -> bytes | None:
        if len(nonce) != NONCE_LENGTH:
            return None
        try:
            raw = bytes.fromhex(nonce)
        except ValueError:
            return None
        stamp, mac = raw[: STAMP.size], raw[STAMP.size :]
        return stamp if hmac.compare_digest(mac, self._mac(stamp)) else None

    def _mac(self, stamp: bytes) -> bytes:
        return blake2b(stamp + self._realm, digest_size=MAC_LENGTH, key=self._key).digest()


class NonceCounts:
    """Which counts were seen with each nonce: the highest, and a window of those just below it.

    Nonces are numbers that grow with the time they were made. The one used first longest ago is forgotten
    first, and with it every unknown nonce that is no younger.
    """

    __slots__ = ("_forgotten", "_limit", "_seen")

    def __init__(self, limit: int = MAX_NONCES) -> None:
        self._limit = limit
        self._seen: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._forgotten = -1

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, nonce: int, count: int) -> bool:
        """True the first time this count comes with this nonce."""
        seen = self._seen.get(nonce)
        if seen is None:
            if nonce <= self._forgotten:
                return False
            self._seen[nonce] = (count, 1)
            if len(self._seen) > self._limit:
                self._forget_first()
            return True
        highest, window = seen
        if count > highest:
            shifted = window << min(count - highest, COUNT_WINDOW)
            self._seen[nonce] = (count, (shifted | 1) & (1 << COUNT_WINDOW) - 1)
            return True
        behind = highest - count
        if behind >= COUNT_WINDOW or window >> behind & 1:
            return False
        self._seen[nonce] = (highest, window | 1 << behind)
        return True

    def forget(self, before: int) -> None:
        """Those made before this one serve no more."""
        while self._seen and next(iter(self._seen)) < before:
            self._forget_first()

    def _forget_first(self) -> None:
        nonce, _ = self._seen.popitem(last=False)
        self._forgotten = max(self._forgotten, nonce)
