"""One session at the embedded chat server. It outlives its connection where that may be resumed (XEP-0198)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import REQUEST, Received, Unacknowledged
from haproxy_voip.xmpp.namespaces import DELAY
from haproxy_voip.xmpp.stamp import utc_stamp
from haproxy_voip.xmpp.stanza import with_delay

if TYPE_CHECKING:
    from haproxy_voip.embedded.chat_link import ChatLink
    from haproxy_voip.embedded.chat_server import ChatServer


# Of one session, unacknowledged. A client that leaves more unread is taken to be gone.
MAX_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A stanza the client may not have."""

    raw: bytes
    at: float  # wall-clock seconds

    def delayed(self, by: str) -> bytes:
        """As it is delivered later: a message says since when it waits (XEP-0203)."""
        if not self.raw.startswith(b"<message") or DELAY.encode() in self.raw:
            return self.raw
        return with_delay(self.raw, utc_stamp(self.at), by)


class ChatSession:
    """See the module. `link` is None while its client is away."""

    def __init__(self, server: ChatServer, jid: str, link: ChatLink | None) -> None:
        self.jid = jid  # full
        self.bare = jid.partition("/")[0]
        self.link = link
        self.presence: bytes | None = None  # what it said last, while it is available
        self.priority = 0
        self.carbons = False
        self.name: str | None = None  # what it can be resumed by
        self.received = Received()
        self.unacknowledged: Unacknowledged[Kept] | None = None  # None: XEP-0198 is not spoken
        self._server = server

    @property
    def available(self) -> bool:
        """Whether what is for the account is for this session too (RFC 6121 section 8.5.2)."""
        return self.presence is not None and self.priority >= 0

    def is_called(self, address: str) -> bool:
        """Whether that is its address, the full one or the bare one (RFC 6120 section 8.1.2.1)."""
        try:
            return str(Jid.parse(address)) in (self.jid, self.bare)
        except ValueError:
            return False

    def manage(self, name: str | None) -> None:
        """Speak XEP-0198 from here on; resumable where there is a name."""
        self.name = name
        self.received, self.unacknowledged = Received(), Unacknowledged()

    def send(self, raw: bytes) -> None:
        """To its client, now or when that is back."""
        if self.unacknowledged is not None:
            if len(self.unacknowledged) >= MAX_KEPT:
                self._server.overflowed(self)
                return
            self.unacknowledged.push(Kept(raw, self._server.wall), len(raw))
            self._server.to_ask[self] = None
        if self.link is not None:
            self.link.write(raw)

    def send_again(self) -> None:
        """Its client is back: what that does not have."""
        assert self.unacknowledged is not None and self.link is not None
        for kept in self.unacknowledged.pending():
            self.link.write(kept.delayed(self._server.settings.domain))
        self.unacknowledged.requested()
        self.link.write(REQUEST)

    def ask(self) -> None:
        """Ask what its client has, unless that was asked already."""
        if self.link is not None and self.unacknowledged is not None and self.unacknowledged.unasked:
            self.unacknowledged.requested()
            self.link.write(REQUEST)

    def left_over(self) -> list[Kept]:
        """It is over: what its client never acknowledged."""
        return [] if self.unacknowledged is None else self.unacknowledged.clear()
