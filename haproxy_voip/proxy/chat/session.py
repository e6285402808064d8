"""One chat session: what a client believes to be its server.

It outlives the connections on both sides. The client's may be lost and resumed (XEP-0198); the backend's is made anew
at another backend (residence.py). What goes to and fro is traffic.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haproxy_voip.proxy.chat.accounts import Account
from haproxy_voip.proxy.chat.backend_leg import BackendLeg
from haproxy_voip.proxy.chat.impersonation import impersonating
from haproxy_voip.proxy.chat.residence import Residence
from haproxy_voip.proxy.chat.rooms import Presence, Room
from haproxy_voip.proxy.chat.traffic import Traffic
from haproxy_voip.proxy.chat_facts import ChatEnded, ChatLeft, ChatRefused, ChatResumed, ChatStarted
from haproxy_voip.proxy.shared import Output
from haproxy_voip.xmpp.client_stream import Authenticated, Login, TlsPolicy
from haproxy_voip.xmpp.errors import (
    ErrorType,
    SaslCondition,
    StanzaCondition,
    StanzaError,
    StreamCondition,
    StreamError,
)
from haproxy_voip.xmpp.framing import Stanza
from haproxy_voip.xmpp.jid import Jid
from haproxy_voip.xmpp.management import Enable, Enabled, Resume
from haproxy_voip.xmpp.namespaces import CLIENT_STATE, ROSTER_VERSIONING

if TYPE_CHECKING:
    from haproxy_voip.proxy.chat.client_leg import ClientLeg
    from haproxy_voip.proxy.chat.shared import ChatShared

# Features of a backend that concern what is passed through, as they are written to the client.
PASSED_ON = {
    CLIENT_STATE: f"<csi xmlns='{CLIENT_STATE}'/>",
    ROSTER_VERSIONING: f"<ver xmlns='{ROSTER_VERSIONING}'/>",
    "urn:xmpp:features:pre-approval": "<sub xmlns='urn:xmpp:features:pre-approval'/>",
}


class Session:
    """See the module. `token` names it in facts."""

    __slots__ = (
        "_accepted", "_away_since", "_binding", "_ended", "_name", "_shared", "account", "bare", "bound_at", "client",
        "jid", "lang", "residence", "resource", "traffic",
    )  # fmt: skip

    def __init__(self, shared: ChatShared, client: ClientLeg, account: Account) -> None:
        self._shared = shared
        self.account = account
        self.client: ClientLeg | None = client  # None while it is away
        self.bare = str(Jid(account.username, account.domain))
        self.jid = ""  # the full address, once bound
        self.resource: str | None = None  # as the client asked for it, then as it was bound
        self.lang = "" if client.stream is None else client.stream.lang  # RFC 6120 section 4.7.4
        self.bound_at = 0.0
        self.residence = Residence(shared, self)
        self.traffic = Traffic(shared, self)
        self._accepted = False  # the client was told that it is logged in
        self._binding = False  # and waits for its resource
        self._name: str | None = None  # what it can be resumed by
        self._away_since: float | None = None
        self._ended = False

    @property
    def token(self) -> str:
        """For facts."""
        return self.jid or self.bare

    def is_called(self, address: str) -> bool:
        """Whether that is this client, by its full address or its bare one (RFC 6120 section 8.1.2.1)."""
        try:
            return str(Jid.parse(address)) in (self.jid, self.bare)
        except ValueError:
            return False

    def belongs_to(self, account: Account) -> bool:
        """Whether whoever proved to be that may have this session."""
        mine = self.account
        same = (mine.username, mine.domain) == (account.username, account.domain)
        return same and mine.same_secret(account)

    def write(self, data: bytes) -> list[Output]:
        """To the client, if it is there."""
        return [] if self.client is None else self.client.write(data)

    # -- logging in ---------------------------------------------------------------------------------

    def begin(self, now: float) -> list[Output]:
        """The client proved who it is, as far as we can tell."""
        self._shared.sessions.all[self] = None
        for other in self._shared.sessions.of(self.bare):
            if other._name is not None and other.belongs_to(self.account):
                # It may want that session back, whatever the backends are up to. If not, it is logged in later.
                known = self._shared.features.get(other.residence.backend or "", frozenset())
                return self.accepted(known, now)
        return self.residence.begin(now)

    def login(self, backend: str, *, bind: bool, resume: Resume | None, now: float) -> Login:
        """How to log in there, now."""
        settings = self._shared.settings(backend)
        account = self.account
        jid = Jid(account.username, account.domain)
        impersonation = impersonating(account, settings.impersonation, self._shared.epoch_offset + now)
        return Login(
            jid=jid if self.resource is None else jid.with_resource(self.resource),
            ways=account.ways(backend, settings.login, impersonation),
            tls=TlsPolicy(settings.starttls),
            server_name=account.domain,
            lang=self.lang,
            known_mechanisms=self._shared.mechanisms.get(backend, ()),
            known_features=self._shared.features.get(backend, frozenset()),
            bind=bind,
            resume=resume,
        )

    def logged_in(self, leg: BackendLeg, event: Authenticated) -> None:
        """Remember what makes the next login there cheaper."""
        self._shared.mechanisms[leg.backend] = leg.stream.mechanisms
        self._shared.features[leg.backend] = leg.stream.features
        if event.client_key is not None:
            self.account.kept[leg.backend] = event.client_key

    def accepted(self, features: frozenset[str], now: float) -> list[Output]:
        """A backend takes this user."""
        if self._accepted:
            return self.residence.bind(now) if self._binding else []
        self._accepted = True
        assert self.client is not None and self.client.stream is not None
        passed_on = "".join(text for namespace, text in PASSED_ON.items() if namespace in features)
        return self.client.answer(self.client.stream.accept(features=passed_on.encode()), now)

    def not_accepted(self, condition: SaslCondition, reason: str, now: float) -> list[Output]:
        """No backend takes this user, now or at all."""
        client = self.client
        assert client is not None and client.stream is not None
        if not self._accepted:
            return [*self._over(now), *client.refuse(condition, reason, now)]
        if not self._binding:
            return []
        self._binding = False
        refused = client.stream.bind_refused(StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, ErrorType.WAIT))
        return [*client.answer(refused, now), ChatRefused(client.flow, self.bare, reason)]

    def unwelcome(self, reason: str, now: float) -> list[Output]:
        """A backend says that this is not the user, or not any more."""
        if self.jid:
            return self.finish(StreamError(StreamCondition.NOT_AUTHORIZED, reason), now)
        # Clients forget a password that is called wrong. If it is the one we know, the backend's is.
        ours = self.account.ours
        condition = SaslCondition.TEMPORARY_AUTH_FAILURE if ours else SaslCondition.NOT_AUTHORIZED
        return self.not_accepted(condition, reason, now)

    def bind(self, resource: str | None, now: float) -> list[Output]:
        """The client asks for its resource, or leaves it to the server."""
        self.resource = resource or None
        self._binding = True
        outputs: list[Output] = []
        same = self._shared.sessions.by_jid.get(f"{self.bare}/{resource}") if resource else None
        if same is not None:  # RFC 6120 section 7.7.2.2: the newer one wins
            outputs += same.finish(StreamError(StreamCondition.CONFLICT, "logged in again with this resource"), now)
        return [*outputs, *self.residence.bind(now)]

    def bound(self, jid: Jid, now: float) -> list[Output]:
        """The server gave it this address."""
        self.jid, self.bare, self.resource = str(jid), str(jid.bare), jid.resource
        self.bound_at = now
        self._binding = False
        self._shared.sessions.add(self)
        client = self.client
        if client is None or client.stream is None:
            return self.end("the client left while it was bound", now)
        started = ChatStarted(self.jid, self.residence.backend or "", client.flow)
        return [started, *client.answer(client.stream.bound(jid), now)]

    # -- the client's connection --------------------------------------------------------------------

    def enable(self, enable: Enable, now: float) -> list[Output]:
        """The client wants stream management."""
        client, seconds = self.client, self._shared.xmpp.resume
        assert client is not None and client.stream is not None
        self.traffic.managed()
        if not enable.resume or not seconds:
            return client.answer(client.stream.enabled(Enabled(None)), now)
        self._name = self._shared.chance.token()
        self._shared.sessions.name_resumable(self._name, self)
        return client.answer(client.stream.enabled(Enabled(self._name, int(seconds))), now)

    def resume(self, client: ClientLeg, resume: Resume, now: float) -> list[Output]:
        """The client is back on another connection."""
        books = self.traffic.incoming.unacknowledged
        assert client.stream is not None and books is not None
        outputs: list[Output] = []
        try:
            books.check(resume.h)
        except StreamError as error:  # whoever has the session keeps it
            client.session = None
            return client.close(error, now)
        before, self.client = self.client, None
        if before is not None:  # it noticed earlier than we did
            before.session = None
            outputs += before.close(StreamError(StreamCondition.CONFLICT, "resumed on another connection"), now)
        outputs += self.traffic.incoming.acknowledge(resume.h, None)
        away = 0.0 if self._away_since is None else now - self._away_since
        self.client, self._away_since = client, None
        self._set_alarm()
        mine = Resume(resume.previd, self.traffic.taken_over())
        welcome = client.answer(client.stream.resumed(mine, Jid.parse(self.jid)), now)
        return [ChatResumed(self.jid, away, client.flow), *outputs, *welcome, *self.traffic.incoming.repeat(client)]

    def give_way(self, now: float) -> list[Output]:
        """The client wants an earlier session instead of this one."""
        return self._over(now)

    def client_lost(self, client: ClientLeg, reason: str, now: float) -> list[Output]:
        """Its connection ended without a word."""
        if client is not self.client:
            return []
        self.client = None
        self.traffic.client_lost()
        if self._name is None:
            return self.end(reason, now)
        self._away_since = now
        self._set_alarm()
        return [ChatLeft(self.jid, reason, self._shared.xmpp.resume)]

    def wake(self, now: float) -> list[Output]:
        """The client did not come back, or contacts did not."""
        if self._away_since is not None and now >= self._away_since + self._shared.xmpp.resume:
            return self.end("the client did not come back", now)
        outputs = [*self.traffic.bounces(now), *self.traffic.capabilities(now)]
        hold_ends_at = self.traffic.contacts.hold_ends_at
        if hold_ends_at is not None and now >= hold_ends_at:
            outputs += self.traffic.hold_is_over(now)
        self._set_alarm()
        return outputs

    def stays_in(self, room: Room) -> bool:
        """Whether its client means to be in that room."""
        mine = self.traffic.captured.rooms.get(room.address)
        return mine is not None and mine.state is not Presence.LEAVING

    def holding(self) -> None:
        """There is something to be told when the hold is over."""
        self._set_alarm()

    def _set_alarm(self) -> None:
        if self._ended:
            return
        ends_at = None if self._away_since is None else self._away_since + self._shared.xmpp.resume
        hold_ends_at = self.traffic.contacts.hold_ends_at
        due = [at for at in (ends_at, hold_ends_at, self.traffic.due_at) if at is not None]
        self._shared.alarms.set(self, min(due, default=None))

    # -- traffic ------------------------------------------------------------------------------------

    def from_client(self, stanza: Stanza, now: float) -> list[Output]:
        """Raises StreamError when the client may not go on."""
        return self.traffic.from_client(stanza, now)

    # -- the end ------------------------------------------------------------------------------------

    def finish(self, error: StreamError, now: float) -> list[Output]:
        """End it, and tell the client why."""
        client = self.client
        return self.end(str(error), now) if client is None else client.close(error, now)

    def end(self, reason: str, now: float) -> list[Output]:
        """End it on both sides. The server keeps for later what the client never acknowledged."""
        if self._ended:
            return []
        told: list[Output] = [ChatEnded(self.jid, reason)] if self.jid else []
        return [*told, *self._over(now)]

    def cut(self) -> None:
        """Once the step it ended in is over: nothing of it may refer to the rest, because nobody looks for cycles
        (commands/serve.py).
        """
        self.traffic.cut()
        self.residence.cut()

    def settled(self, now: float) -> list[Output]:
        """The server knows everything of this session again: so do those who waited for it."""
        self._set_alarm()
        leg = self.residence.active
        assert leg is not None
        outputs = self.traffic.arrived(leg, now)
        for other in self._shared.waiting_for.pop(self.bare, {}):
            outputs += other.traffic.flush(now)
        return [*outputs, *self._shared.failovers.settled(self, now)]

    def _over(self, now: float) -> list[Output]:
        if self._ended:
            return []
        self._ended = True
        shared, client = self._shared, self.client
        outputs = [*self.traffic.leave_behind(now), *self.residence.end(now)]
        if self._name is not None:
            shared.sessions.name_resumable(self._name, None)
        for room in self.traffic.captured.rooms:
            shared.sessions.occupies(room.occupant, None)
        shared.sessions.remove(self)
        shared.alarms.set(self, None)
        shared.alarms.set(self.traffic.replay, None)
        if client is not None and client.session is self:
            client.session = None
        self.client = None
        waiting = shared.waiting_for.pop(self.bare, {})
        outputs += shared.failovers.ended(self, now)
        shared.over.append(self)
        return [*outputs, *(output for other in waiting for output in other.traffic.flush(now))]
