"""Chat clients that nobody here wrote: slixmpp, in a thread with a loop of its own, told what to do by plain calls.

A talker remembers all that it was told and when, so that a test can say what was lost, doubled, out of order or late.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from slixmpp import JID, ClientXMPP
from slixmpp.stanza import Message, Presence

from tests.interop.chat_servers import DIRECT_TLS_PORT, DOMAIN, ROOMS, XMPP_PORT, secret
from tests.interop.processes import wait_until

ONLINE_SECONDS = 15.0
# Disco, rooms, receipts, stream management, ping, delays, carbons.
PLUGINS = ("xep_0030", "xep_0045", "xep_0184", "xep_0198", "xep_0199", "xep_0203", "xep_0280")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that reached a talker."""

    at: float  # monotonic seconds
    sender: str  # full address
    kind: str  # chat, groupchat, ...
    body: str
    carbon: bool = False  # a copy of what another resource was sent, or sent (XEP-0280)
    delayed: bool = False  # it has a stamp of when it was sent (XEP-0203)


@dataclass(slots=True)
class Journal:
    """All that one talker was told."""

    messages: list[Heard] = field(default_factory=list)
    presences: list[tuple[float, str, str]] = field(default_factory=list)  # when, from, type
    receipts: list[tuple[float, str, str]] = field(default_factory=list)  # when, from, the message's id (XEP-0184)
    connections: int = 0
    resumptions: int = 0  # connections that went on with the session before (XEP-0198)
    disconnections: int = 0
    errors: list[str] = field(default_factory=list)

    def bodies(self, sender: str | None = None) -> list[str]:
        """What was said, by whoever or by one bare address or room nick, in the order of arrival."""
        return [each.body for each in self.messages if sender is None or each.sender.startswith(sender)]


class Talkers:
    """A thread with an event loop in which slixmpp clients live. A context manager: all of them end with it.

    Where certificates are trusted, talkers must be shown one of those, and for their domain.
    """

    def __init__(self, *trusted: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._all: list[Talker] = []
        # One for all: each of its own would cost 42 ms and a megabyte.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for certificate in trusted:
            self._tls.load_verify_locations(certificate)
        if not trusted:
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def __enter__(self) -> "Talkers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def talker(
        self, user: int, resource: str, address: str, plugins: Sequence[str] = PLUGINS, *, domain: str = DOMAIN
    ) -> "Talker":
        """A client of this user that is to connect to this address; not connected yet."""

        async def make() -> Talker:
            made = Talker(self, JID(f"{user}@{domain}/{resource}"), address, self._tls)
            for plugin in plugins:
                made.client.register_plugin(plugin)
            return made

        made = self.do(make())
        self._all.append(made)
        return made

    def online(self, address: str, *users: int) -> list["Talker"]:
        """Clients of these users, connected, one resource each."""
        talkers = [self.talker(user, "phone", address) for user in users]
        for each in talkers:
            each.connect()
        for each in talkers:
            each.wait_online()
        return talkers

    def do(self, work: Coroutine[Any, Any, Result], seconds: float = 30.0) -> Result:
        """Run this in the loop and wait for it."""
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(seconds)

    def call(self, what: Callable[[], object]) -> None:
        """Run this in the loop and wait until it has returned."""

        async def later() -> None:
            what()

        self.do(later())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _end(self) -> None:
        for each in self._all:
            each.client.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Talker:
    """One client of one user."""

    def __init__(self, among: Talkers, jid: JID, address: str, tls: ssl.SSLContext) -> None:
        self.jid = str(jid.bare)
        self.full = str(jid)
        self.journal = Journal()
        self.online = False
        self.available = True  # it tells its contacts so, once it is online
        self._among = among
        self._address = address
        client = self.client = ClientXMPP(jid, secret(int(jid.user), jid.domain))
        client.ssl_context = tls
        client.whitespace_keepalive = False
        client.add_event_handler("session_start", self._started)
        client.add_event_handler("session_resumed", self._resumed)
        client.add_event_handler("disconnected", self._disconnected)
        client.add_event_handler("message", self._message)
        client.add_event_handler("carbon_received", self._carbon)
        client.add_event_handler("carbon_sent", self._carbon)
        client.add_event_handler("receipt_received", self._receipt)
        client.add_event_handler("presence_available", self._presence)
        client.add_event_handler("presence_unavailable", self._presence)
        client.add_event_handler("failed_all_auth", lambda _: self.journal.errors.append("no login"))

    # -- what a test says -------------------------------------------------------------------------------

    def connect(self, *, direct: bool = False) -> None:
        """Begin to, with STARTTLS or TLS from the first byte (XEP-0368); `wait_online` follows."""
        self.client.enable_direct_tls, self.client.enable_starttls = direct, not direct
        self._among.call(lambda: self.client.connect(self._address, DIRECT_TLS_PORT if direct else XMPP_PORT))

    def log_in_by(self, mechanism: str) -> None:
        """This SASL mechanism and no other, from the next connection on."""
        self.client.plugin["feature_mechanisms"].use_mech = mechanism

    def wait_online(self, seconds: float = ONLINE_SECONDS) -> None:
        """Until it has a session, has told its presence and has its contact list."""
        wait_until(lambda: self.online or bool(self.journal.errors), seconds, f"{self.full} online")
        assert not self.journal.errors, (self.full, self.journal.errors)

    def say(self, to: "Talker | str", body: str, kind: str = "chat") -> None:
        """Send a message; `to` is a talker, whose user is meant, or an address."""
        target = to.jid if isinstance(to, Talker) else to
        self._among.call(lambda: self.send(target, body, kind))

    def send(self, to: str, body: str, kind: str = "chat", *, receipt: bool = False) -> str:
        """The same from within the talkers' loop; returns the message's id."""
        message: Message = self.client.make_message(JID(to), body, mtype=kind)
        message["id"] = self.client.new_id()
        if receipt:
            message["request_receipt"] = True
        message.send()
        return str(message["id"])

    def carbons(self) -> None:
        """Have copies of what the user's other resources are sent and send."""
        self._among.do(self._enable_carbons())

    def wait_for(self, body: str, seconds: float = 10.0) -> Heard:
        """The message with this body, waited for."""
        wait_until(lambda: body in self.journal.bodies(), seconds, f"{self.full} hears {body!r}")
        return next(each for each in self.journal.messages if each.body == body)

    def enter(self, room: str, nick: str, seconds: float = 10.0) -> str:
        """Join a room of ours; returns its address."""
        address = f"{room}@{ROOMS}"
        self._among.do(self.client.plugin["xep_0045"].join_muc_wait(JID(address), nick, timeout=seconds, maxchars=0))
        return address

    def show(self, show: str) -> None:
        """Tell the contacts: away, dnd, ..."""
        self._among.call(lambda: self.client.send_presence(pshow=show))

    def befriend(self, other: "Talker") -> None:
        """Ask to see each other's presence; slixmpp grants it, and asks in return."""
        self._among.call(lambda: self.client.send_presence_subscription(pto=other.jid))

    def ping(self, seconds: float = 5.0) -> float:
        """Ask the server whether it is there; how long that took, seconds."""
        began = time.monotonic()
        self._among.do(self.client.plugin["xep_0199"].ping(JID(DOMAIN), timeout=seconds), seconds + 1)
        return time.monotonic() - began

    def leave(self) -> None:
        """Say goodbye and close the stream."""
        self._among.do(self._leave())

    def cut(self) -> None:
        """Lose the connection without a word, as a phone does in a tunnel."""
        self._among.call(self.client.abort)

    async def _enable_carbons(self) -> None:
        await self.client.plugin["xep_0280"].enable()

    async def _leave(self) -> None:
        await self.client.disconnect(wait=1.0)

    # -- what it is told --------------------------------------------------------------------------------

    async def _started(self, _: object) -> None:
        self.journal.connections += 1
        await self.client.get_roster()
        if self.available:
            self.client.send_presence()
        self.online = True

    def _resumed(self, _: object) -> None:
        self.journal.connections += 1
        self.journal.resumptions += 1
        self.online = True

    def _disconnected(self, _: object) -> None:
        self.online = False
        self.journal.disconnections += 1

    def _message(self, message: Message) -> None:
        self._note(message, carbon=False)

    def _carbon(self, carbon: Message) -> None:
        copy = carbon["carbon_received"] if carbon.get_plugin("carbon_received", check=True) else carbon["carbon_sent"]
        self._note(copy, carbon=True)

    def _note(self, message: Message, *, carbon: bool) -> None:
        if message["body"]:
            delayed = message.get_plugin("delay", check=True) is not None
            sender, kind, body = str(message["from"]), message["type"], message["body"]
            self.journal.messages.append(Heard(time.monotonic(), sender, kind, body, carbon, delayed))

    def _receipt(self, message: Message) -> None:
        self.journal.receipts.append((time.monotonic(), str(message["from"]), message["receipt"]))

    def _presence(self, presence: Presence) -> None:
        self.journal.presences.append((time.monotonic(), str(presence["from"]), presence["type"]))
