"""The embedded chat server (haproxy_voip/embedded), as the stage needs it: what it says is done at once, and it does
what the test says. `frozen` keeps everything for later, `mute` handles what comes and loses what it would send.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable

from haproxy_voip.core.address import Address, Flow, Transport
from haproxy_voip.core.chance import Chance
from haproxy_voip.embedded.chat_link import ChatLink
from haproxy_voip.embedded.chat_routing import ChatRouting
from haproxy_voip.embedded.chat_server import ChatServer
from haproxy_voip.embedded.chat_session import ChatSession
from haproxy_voip.embedded.settings import ChatServerSettings
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.management import REQUEST
from haproxy_voip.xmpp.sasl.web_token import signed_token
from haproxy_voip.xmpp.server_stream import (
    Authenticate,
    BindWanted,
    CredentialsWanted,
    EnableWanted,
    ResumeWanted,
    ServerOutput,
)

DOMAIN = "chat.test"
ROOMS = f"rooms.{DOMAIN}"
EPOCH_OFFSET = 1_700_000_000.0
Asked = CredentialsWanted | Authenticate | BindWanted | ResumeWanted | EnableWanted
SOMEWHERE = Address("127.0.0.1", 5222)


class Link(ChatLink):
    """One connection."""

    server: Server
    write_out: Callable[[bytes], None]
    close_out: Callable[[], None]
    mute = False  # what it is sent is lost on the way

    def write(self, data: bytes) -> None:
        if not self.server.mute and not self.mute:
            self.write_out(data)

    def close(self) -> None:
        self.close_out()

    def receive(self, data: bytes, now: float) -> None:
        if self.server.frozen:
            self.server.waiting.append((self, data))
            return
        self.server.wall = now + EPOCH_OFFSET
        super().receive(data, now)

    def _asked(self, item: Asked, now: float) -> None:
        if isinstance(item, Authenticate) and self.server.believes(item):
            self.perform(self.stream.accept(), now)
        else:
            super()._asked(item, now)


class Routing(ChatRouting):
    """Grants every request, and has the roster the test gives it."""

    roster = b"<query xmlns='jabber:iq:roster'/>"

    def _own_iq(self, session: ChatSession, stanza: Stanza) -> None:
        if b"urn:xmpp:carbons:2" in stanza.raw:
            super()._own_iq(session, stanza)
        elif stanza.type in ("get", "set"):
            self.answer(session, stanza, self.roster if b"jabber:iq:roster" in stanza.raw else b"")


class Server(ChatServer):
    """See the module. It asks for acknowledgements only when the test says so."""

    def __init__(self, name: str, passwords: dict[str, str], life: int = 1) -> None:
        """In another life it gives other names."""
        settings = ChatServerSettings(users=passwords, domain=DOMAIN, name=name, epoch_offset=EPOCH_OFFSET)
        super().__init__(settings, Chance.seeded(1000 * life + len(name)))
        self.routing: Routing = Routing(self)
        self.name, self.life = name, life
        self.dead = self.frozen = self.mute = False
        self.token_key: bytes | None = None  # signs tokens that it takes for passwords
        self.poison: bytes | None = None  # a stanza with this in it is the last it ever reads
        self.handled: list[Stanza] = []  # everything clients sent
        self.waiting: list[tuple[Link, bytes]] = []  # arrived while it was frozen

    @property
    def offline(self) -> dict[str, list[bytes]]:
        return self.store.offline

    @offline.setter
    def offline(self, offline: dict[str, list[bytes]]) -> None:
        self.store.offline = offline

    @property
    def roster(self) -> bytes:
        return self.routing.roster

    @roster.setter
    def roster(self, roster: bytes) -> None:
        self.routing.roster = roster

    def believes(self, attempt: Authenticate) -> bool:
        """Whether a token of its key says that the client is that user."""
        head, _, signature = (attempt.password or "").rpartition(".")
        if self.token_key is None or not signature:
            return False
        claims = json.loads(urlsafe_b64decode(head.partition(".")[2] + "=="))
        known = claims["jid"] == f"{attempt.username}@{attempt.domain}" and claims["exp"] > self.wall
        return bool(known and signed_token(self.token_key, claims) == attempt.password)

    def leave_room(self, room: str, nick: str, *codes: str) -> None:
        """Somebody is put out."""
        self.rooms.leave(self.rooms.by_address[room], nick, *codes)

    def occupants(self, room: str) -> dict[str, ChatSession]:
        """Who is in it, by nick."""
        found = self.rooms.by_address.get(room)
        return {} if found is None else found.occupants

    def accept(self, write: Callable[[bytes], None], close: Callable[[], None], now: float) -> Link:
        flow = Flow(Transport.TCP, SOMEWHERE, SOMEWHERE, 2 * self.logins + 2 * len(self.links) + 1)
        while flow.connection in self.links:
            flow = flow._replace(connection=flow.connection + 2)
        link = Link(self, flow, self.stream(now))
        link.server, link.write_out, link.close_out = self, write, close
        self.links[flow.connection] = link
        return link

    def perform(self, link: Link, outputs: list[ServerOutput], now: float) -> None:
        link.perform(outputs, now)

    def take(self, session: ChatSession, stanza: Stanza, now: float) -> None:
        if stanza.is_stanza:
            if self.poison is not None and self.poison in stanza.raw:
                self.frozen = True
                return
            self.handled.append(stanza)
        super().take(session, stanza, now)

    def thaw(self, now: float) -> None:
        self.frozen = False
        waiting, self.waiting = self.waiting, []
        for link, data in waiting:
            link.receive(data, now)

    def terminate(self) -> None:
        """As Prosody takes SIGTERM: one session after the other is thrown out of its rooms and told to be gone."""
        for session in list(self.sessions.values()):
            link, session.link = session.link, None
            self.rooms.lost(session, "333")
            self.end(session)
            if link is not None:
                link.session = None
                link.close()
        self.dead = True

    def ask(self) -> None:
        """Ask every client what it has."""
        for session in self.sessions.values():
            if session.link is not None and session.unacknowledged is not None:
                session.link.write(REQUEST)

    def unacknowledged(self, jid: str) -> int:
        books = self.sessions[jid].unacknowledged
        assert books is not None
        return len(books)


__all__ = ["DOMAIN", "EPOCH_OFFSET", "ROOMS", "Link", "Server"]
