"""The o= line of one leg (RFC 8866 section 5.2, RFC 3264 section 8).

To the peer of a leg we are one author for its whole life, whatever is behind us: user name, id and address
stay, and the version grows by one exactly when the rest of the description differs from what was sent last.
"""

from __future__ import annotations

from haproxy_voip.core.chance import Chance

# RFC 3264 section 5 allows 63 bits; some devices read only 32, the last of which is a sign to others.
SESSION_ID_LIMIT = 2**31


class OriginKeeper:
    """What our o= line on this leg says; ask `line` once for each description that is sent."""

    __slots__ = ("_host", "_sent", "session_id", "version")

    def __init__(self, session_id: int, host: str) -> None:
        self.session_id = session_id
        self.version = 0  # nothing sent yet; the first is 1
        self._host = host
        self._sent: str | None = None

    @classmethod
    def begin(cls, chance: Chance, host: str) -> OriginKeeper:
        """For a new leg; `host` is our media address on it, an IP literal."""
        return cls(chance.below(SESSION_ID_LIMIT), host)

    def line(self, rest: str) -> str:
        """The o= line that goes with this text, which is the description without its o= line."""
        if rest != self._sent:
            self.version += 1
            self._sent = rest
        family = "IP6" if ":" in self._host else "IP4"
        return f"o=- {self.session_id} {self.version} IN {family} {self._host}"
