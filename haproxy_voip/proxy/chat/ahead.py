"""What the server where a session is kept ready was told before it is needed, and what it said (`standby: available`).

It knows that the client is there, and whom it tells of that; so after the move messages need not wait until everybody
has told everybody. Until then nothing it says of others is news: what may be news after the move is kept.
"""

from __future__ import annotations

from collections.abc import Collection

from haproxy_voip.proxy.chat.contacts import MAX_FOLLOWED, Contacts
from haproxy_voip.proxy.chat.rooms import MUC_USER
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.namespaces import DISCO_INFO, PEP_EVENT

# Questions and requests kept for the client; further ones are dropped, as they would be if it were away.
MAX_KEPT = 200


class Ahead:
    """Of one leg. `carbons`, `presence` and `directed` are what it was told, `asked` the question for carbons."""

    __slots__ = ("_contacts", "_kept", "asked", "carbons", "directed", "presence")

    def __init__(self) -> None:
        self.asked: str | None = None
        self.carbons = False
        self.presence: bytes | None = None
        self.directed: dict[str, bytes] = {}
        self._contacts: dict[str, Stanza | None] = {}  # available there; None: the client knew just that
        self._kept: list[Stanza] = []

    def takes(self, stanza: Stanza, known: Contacts) -> bool:
        """Whether this is nothing for the client while its session is elsewhere."""
        match stanza.name:
            case "presence":
                self._presence(stanza, known)
                return True
            case "message":
                return PEP_EVENT.encode() in stanza.raw  # news of contacts, of which every server sends the newest
            case _:
                asks = stanza.type == "get" and DISCO_INFO.encode() in stanza.raw
                if asks:
                    self._keep(stanza)
                return asks

    @property
    def contacts(self) -> Collection[str]:
        """Who is available there."""
        return self._contacts.keys()

    def kept(self) -> list[Stanza]:
        """What may be news, now that the server carries the session."""
        return [*(said for said in self._contacts.values() if said is not None), *self._kept]

    def _presence(self, stanza: Stanza, known: Contacts) -> None:
        who = stanza.from_ or ""
        if MUC_USER.encode() in stanza.raw:
            return  # the session of an earlier time is still in a room
        match stanza.type:
            case None if who in self._contacts or len(self._contacts) < MAX_FOLLOWED:
                self._contacts[who] = None if known.knows(who, stanza) else stanza
            case "unavailable":
                self._contacts.pop(who, None)
            case "subscribe":
                self._keep(stanza)

    def _keep(self, stanza: Stanza) -> None:
        if len(self._kept) < MAX_KEPT:
            self._kept.append(stanza)
