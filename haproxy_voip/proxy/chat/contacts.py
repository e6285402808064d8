"""Which contacts the client believes to be available, so that a move of ours, or theirs, shows nobody a flap.

After a move the new server tells of everybody again. What it says of whom the client knows already is not passed on;
whom it does not mention for `HOLD_SECONDS` is gone, and only then the client is told. A contact whose own session here
is moving becomes unavailable at its old server: that, too, is believed only when it does not come back.
"""

from __future__ import annotations

from collections.abc import Collection

from haproxy_voip.proxy.chat.digest import digest
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.text import escape

# Longer than a thousand sessions take to log in one after the other; shorter than people look twice.
HOLD_SECONDS = 4.0
# A server that is stopped says first that its users are gone, and ends their connections right after. Whoever is said
# to be gone for so long by a server that stays said so itself: to this contact only, or to one that is none any more.
GRACE_SECONDS = 1.0
# Full addresses followed for one session; of others the client hears every word.
MAX_FOLLOWED = 5000


class Contacts:
    """See the module. Addresses are full ones."""

    __slots__ = ("_held", "_known", "_unconfirmed", "hold_ends_at")

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}  # available ones, and what they said last
        self._unconfirmed: dict[str, None] = {}  # those the new server has not mentioned
        self._held: dict[str, None] = {}  # said to be gone while they move
        self.hold_ends_at: float | None = None

    def __len__(self) -> int:
        return len(self._known)

    def moved(self, now: float, there: Collection[str] = ()) -> None:
        """From here on a new server speaks, which has mentioned those already."""
        self._unconfirmed = dict.fromkeys(who for who in self._known if who not in there)
        self._held = dict.fromkeys(who for who in self._held if who not in there)
        self.hold_ends_at = now + HOLD_SECONDS

    def knows(self, who: str, stanza: Stanza) -> bool:
        """Whether that is the last the client heard of them."""
        return who in self._known and self._known[who] == digest(stanza.element())

    def available(self, who: str, stanza: Stanza) -> bool:
        """Somebody says so: whether that is news for the client."""
        self._held.pop(who, None)
        self._unconfirmed.pop(who, None)
        said = digest(stanza.element())
        if self._known.get(who) == said and self.hold_ends_at is not None:
            return False
        if who in self._known or len(self._known) < MAX_FOLLOWED:
            self._known[who] = said
        return True

    def unavailable(self, who: str, now: float, *, moving: bool) -> bool:
        """Somebody is said to be gone: whether the client shall hear it now."""
        if moving and who in self._known:
            self._held[who] = None
            if self.hold_ends_at is None:
                self.hold_ends_at = now + GRACE_SECONDS
            return False
        self._held.pop(who, None)
        self._unconfirmed.pop(who, None)
        return self._known.pop(who, None) is not None or self.hold_ends_at is None

    def missing(self) -> list[str]:
        """The hold is over: who did not come back."""
        gone = list(dict.fromkeys((*self._unconfirmed, *self._held)))
        self._unconfirmed.clear()
        self._held.clear()
        self.hold_ends_at = None
        return gone

    def keep_waiting(self, who: list[str], now: float) -> None:
        """These are still on their way."""
        self._held.update(dict.fromkeys(who))
        self.hold_ends_at = now + HOLD_SECONDS

    def gone(self, who: str) -> None:
        """The client is told."""
        self._known.pop(who, None)


def unavailable(who: str, to: str) -> bytes:
    """What the client is told of somebody who is gone."""
    return f"<presence from='{escape(who)}' to='{escape(to)}' type='unavailable'/>".encode()
