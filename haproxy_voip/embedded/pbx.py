"""A small PBX: registrar, calls between users, transfers, busy lamps, messages. Signalling only: SDP passes unchanged.

Sans-I/O, like every machine here. Like Asterisk it is a B2BUA: each leg has its own Call-ID and tags.

A number of three digits from 400 to 699 that is no user's is answered with that status: 486 is always busy.
"""

from __future__ import annotations

from collections import deque

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.events import NetworkEvent
from haproxy_voip.embedded.bridge import DETACHED, Bridge, passed
from haproxy_voip.embedded.facts import Output, PbxCalled, PbxRefused
from haproxy_voip.embedded.hunt import Hunt, Hunter, Offer
from haproxy_voip.embedded.notes import Notes
from haproxy_voip.embedded.registrar import Contact, Registrar
from haproxy_voip.embedded.session import ALLOW, SUPPORTED, Session
from haproxy_voip.embedded.settings import Knobs, PbxSettings
from haproxy_voip.embedded.stack import Stack, identity
from haproxy_voip.embedded.subscriptions import Subscriptions, dialog_info, message_summary
from haproxy_voip.embedded.transfer import Transfer, find_replaced, take_over
from haproxy_voip.sip.digest import Authenticator, Rejected, role_for
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import Replaces
from haproxy_voip.sip.message import header, response_to
from haproxy_voip.sip.timers import RFC_3261, Timing
from haproxy_voip.sip.transactions import RequestReceived, ServerTransaction

KEY_BYTES = 32
# Of events that wait while `Knobs.delay` is turned up; more are lost, as in a socket's buffer.
MAX_DELAYED = 10_000
RETRY_AFTER = "1"  # seconds


class Pbx:
    """See the module. `knobs` may be turned at any time."""

    def __init__(self, settings: PbxSettings, chance: Chance, timing: Timing = RFC_3261) -> None:
        self.settings = settings
        self.knobs = Knobs()
        self.stack = Stack(self, settings.listen, chance, timing)
        self.registrar = Registrar(self.stack, settings)
        self.waiting_messages: dict[str, int] = {}  # user -> voice messages, for MWI
        self._subscriptions = Subscriptions(self.stack, self._state_of)
        self._notes = Notes(self.stack, settings.realm)
        self._bridges: dict[str, dict[Bridge, None]] = {}  # user -> calls
        self._authenticator = Authenticator(settings.realm, self._credential, chance.bytes(KEY_BYTES))
        self._delayed: deque[tuple[float, NetworkEvent]] = deque()
        self._tokens = 0.0  # registrations that may come now
        self._tokens_at = 0.0

    # -- the machine ---------------------------------------------------------------------------------

    def receive(self, event: NetworkEvent, now: float) -> list[Output]:
        """Take one event."""
        if self.knobs.silent:
            return []
        if self.knobs.delay or self._delayed:
            if len(self._delayed) < MAX_DELAYED:
                self._delayed.append((now + self.knobs.delay, event))
            return []
        self.stack.receive(event, now)
        return self.stack.take()

    def wake(self, now: float) -> list[Output]:
        """Act on everything that is due."""
        while self._delayed and self._delayed[0][0] <= now:
            self.stack.receive(self._delayed.popleft()[1], now)
        self.stack.wake(now)
        outputs = self.stack.take()
        return [] if self.knobs.silent else outputs

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        deadline = self.stack.deadline
        if not self._delayed:
            return deadline
        delayed = self._delayed[0][0]
        return delayed if deadline is None else min(delayed, deadline)

    @property
    def calls(self) -> int:
        """Calls that ring or are up."""
        return len({bridge for bridges in self._bridges.values() for bridge in bridges})

    def leave_message(self, user: str, now: float) -> list[Output]:
        """Somebody left a voice message: its lamp goes on."""
        self.waiting_messages[user] = self.waiting_messages.get(user, 0) + 1
        self._subscriptions.changed("message-summary", user, now)
        return self.stack.take()

    # -- requests outside dialogs --------------------------------------------------------------------

    def outside(self, received: RequestReceived, transaction: ServerTransaction, now: float) -> None:
        """A request outside any dialog. Raises MessageError."""
        try:
            self._outside(transaction, now)
        except MessageError as error:
            request = transaction.request
            self.stack.outputs.append(PbxRefused(request.method, request.from_.uri.username, error.status))
            raise

    def _outside(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.max_forwards == 0:
            raise MessageError("Max-Forwards is 0", 483)
        unsupported = [tag for tag in request.option_tags("require") if tag != SUPPORTED]
        if unsupported:
            raise MessageError("an extension is required", 420, (header("unsupported", ", ".join(unsupported)),))
        if request.method == "OPTIONS":
            lines = [header("allow", ALLOW), header("accept", "application/sdp"), header("supported", SUPPORTED)]
            response = response_to(request, 200, to_tag=self.stack.chance.token(), headers=lines)
            self.stack.answer(transaction, response, now)
            return
        if request.method == "REGISTER":
            self._limit_registrations(now)
        if not self.settings.trust and not self._authenticated(transaction, now):
            return
        match request.method:
            case "REGISTER":
                self.registrar.register(transaction, now)
            case "INVITE":
                self._invite(transaction, now)
            case "SUBSCRIBE":
                self._subscriptions.subscribe(transaction, now)
            case "MESSAGE":
                self._notes.forward(transaction, self._callable(request.request_uri.username), now)
            case _:
                raise MessageError(f"no {request.method} outside a call", 405, (header("allow", ALLOW),))

    def _limit_registrations(self, now: float) -> None:
        """Raises MessageError as the knobs say."""
        if self.knobs.refuse_registrations is not None:
            raise MessageError("told to refuse", self.knobs.refuse_registrations)
        rate = self.knobs.registrations_per_second
        if rate is None:
            return
        self._tokens = min(max(1.0, rate), self._tokens + rate * (now - self._tokens_at))
        self._tokens_at = now
        if self._tokens < 1:
            raise MessageError("too many registrations", 503, (header("retry-after", RETRY_AFTER),))
        self._tokens -= 1

    def _authenticated(self, transaction: ServerTransaction, now: float) -> bool:
        """Whether the sender is a user; else it is challenged. Raises MessageError."""
        request = transaction.request
        outcome = self._authenticator.authenticate(request, now)
        if isinstance(outcome, Rejected):
            role = role_for(request.method)
            lines = [header(role.challenge, value) for value in self._authenticator.challenge(now, outcome.stale)]
            self.stack.refuse(transaction, role.status, now, lines)
            return False
        if request.method == "REGISTER" and request.to.uri.username != outcome.user:
            raise MessageError(f"{outcome.user} may not register others", 403)
        return True

    def _credential(self, user: str) -> Credential | None:
        password = self.settings.users.get(user)
        return None if password is None else Credential(user, self.settings.realm, password)

    # -- calls ---------------------------------------------------------------------------------------

    def _invite(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        caller_name, callee_name = request.from_.uri.username, request.request_uri.username
        if self.knobs.refuse_calls is not None:
            raise MessageError("told to refuse", self.knobs.refuse_calls)
        replaces = request.get("replaces")
        contacts = [] if replaces else self._callable(callee_name)
        session = Session(self.stack, DETACHED, transaction.flow, callee_name or "pbx")
        session.take(transaction)
        if replaces:
            self._replace(session, replaces, caller_name, now)
            return
        self.stack.outputs.append(PbxCalled(caller_name, callee_name))
        bridge = self.bridge(caller_name, callee_name)
        session.user = bridge
        display = request.from_.display
        caller = identity(caller_name, self.settings.realm)
        offer = Offer(
            f'"{display}" {caller}' if display and display.replace(" ", "").isalnum() else caller,
            callee_name,
            self.settings.realm,
            self.settings.ring_for,
            tuple(passed(request)),
            request.body,
        )
        bridge.call(session, offer, contacts, now)

    def _replace(self, session: Session, value: str, name: str, now: float) -> None:
        try:
            take_over(self, session, find_replaced(session, Replaces.parse(value)), name, now)
        except MessageError as error:
            session.refuse(error.status, now)

    def _callable(self, user: str) -> list[Contact]:
        """Where to ring this number. Raises MessageError when there is nowhere."""
        contacts = self.registrar.contacts(user)
        if contacts:
            return contacts
        if user in self.settings.users:
            raise MessageError(f"{user} is not registered", 480)
        if len(user) == 3 and user.isascii() and user.isdigit() and 400 <= int(user) < 700:
            raise MessageError("as dialled", int(user))
        raise MessageError(f"no user {user!r}", 404)

    # -- Switchboard ---------------------------------------------------------------------------------

    def hunt(self, caller: str, callee: str, hunter: Hunter, now: float) -> Hunt:
        """Ring a user without an offer. Raises MessageError."""
        contacts = self._callable(callee)
        offer = Offer(identity(caller, self.settings.realm), callee, self.settings.realm, self.settings.ring_for)
        hunt = Hunt(self.stack, hunter, offer)
        hunt.start(contacts, now)
        return hunt

    def bridge(self, caller_name: str, callee_name: str) -> Bridge:
        """A new bridge."""
        bridge = Bridge(self.stack, (caller_name, callee_name), self._changed, self._refer)
        for name in (caller_name, callee_name):
            self._bridges.setdefault(name, {})[bridge] = None
        return bridge

    def bridge_of(self, session: Session) -> Bridge | None:
        """The bridge this session is on."""
        return session.user if isinstance(session.user, Bridge) else None

    def _refer(self, bridge: Bridge, session: Session, transaction: ServerTransaction, now: float) -> None:
        transferee = bridge.far(session)
        if transferee is None:
            raise MessageError("there is nobody to transfer", 480)
        Transfer(self, bridge, session, transferee).start(transaction, now)

    def _changed(self, user: str, now: float) -> None:
        bridges = self._bridges.get(user, {})
        for bridge in [bridge for bridge in bridges if bridge.state == "terminated"]:
            del bridges[bridge]
        if not bridges:
            self._bridges.pop(user, None)
        self._subscriptions.changed("dialog", user, now)

    def _state_of(self, event: str, user: str) -> bytes:
        if event == "message-summary":
            return message_summary(self.waiting_messages.get(user, 0), 0)
        return dialog_info(user, self.settings.realm, [bridge.state for bridge in self._bridges.get(user, {})])
