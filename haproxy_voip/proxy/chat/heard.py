"""Messages a session has had, to be recognised when they come again.

A server that was left, because it was frozen or cut off, may have stored what its users had elsewhere by then, and
delivers it when it is back: to a session that goes on, or to the next one of the same user. By that time the sender's
session, which knows who has had what, may be over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from haproxy_voip.proxy.chat.entry import Key

# Of one session; a server that was away for long stores more, but few of one user's.
MAX_HEARD = 50
# Users without a session whose last one is remembered.
MAX_USERS = 1_000

DIGEST_BYTES = 16


class Heard:
    """Of one session, oldest first; of any length, each costs the same."""

    __slots__ = ("digests",)

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        self.digests = dict.fromkeys(digests)

    def is_new(self, sender: str, key: Key) -> bool:
        """Whether it comes for the first time; remembered from here on. `key` is one for no peer."""
        digest = _digest(sender, key)
        new = digest not in self.digests
        self.digests[digest] = None
        if len(self.digests) > MAX_HEARD:
            del self.digests[next(iter(self.digests))]
        return new

    def has(self, sender: str, key: Key) -> bool:
        """Whether it came, as far as is remembered."""
        return _digest(sender, key) in self.digests

    def never_had(self, sender: str, key: Key) -> None:
        """It came, and the client did not get it in the end."""
        self.digests.pop(_digest(sender, key), None)


class HeardBefore:
    """What sessions that are over had, by user."""

    __slots__ = ("_by_user",)

    def __init__(self) -> None:
        self._by_user: dict[str, Heard] = {}  # whose session ended longest ago first

    def begin(self, user: str) -> Heard:
        """For a new session of this user's."""
        return Heard(self._by_user[user].digests if user in self._by_user else ())

    def end(self, user: str, heard: Heard) -> None:
        """A session of this user's is over."""
        before = self._by_user.pop(user, None)
        digests = [*(() if before is None else before.digests), *heard.digests]
        self._by_user[user] = Heard(list(dict.fromkeys(digests))[-MAX_HEARD:])
        if len(self._by_user) > MAX_USERS:
            del self._by_user[next(iter(self._by_user))]


def _digest(sender: str, key: Key) -> bytes:
    return hashlib.blake2b(repr((sender, key)).encode("utf-8", "replace"), digest_size=DIGEST_BYTES).digest()
