"""A small SIP phone: registers, calls, answers, holds, transfers, writes messages and watches others.

Sans-I/O. What a person would do are methods that return outputs, as `receive` and `wake` do; all that happens is told
as facts, which `history` keeps too.
"""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

from haproxy_voip.core.chance import Chance
from haproxy_voip.core.credential import Credential
from haproxy_voip.core.effects import Close, Open, Send
from haproxy_voip.core.events import NetworkEvent, StreamClosed
from haproxy_voip.embedded.account import Account
from haproxy_voip.embedded.bridge import DETACHED
from haproxy_voip.embedded.facts import Output, PhoneAsked, PhoneCalling, PhoneFact, PhoneRinging, PhoneTold
from haproxy_voip.embedded.media import SDP
from haproxy_voip.embedded.phone_call import PhoneCall
from haproxy_voip.embedded.registration import Registration
from haproxy_voip.embedded.session import ALLOW, Session, Then
from haproxy_voip.embedded.settings import PhoneSettings
from haproxy_voip.embedded.stack import Stack, identity
from haproxy_voip.embedded.watching import Watch
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, Response, header, response_to
from haproxy_voip.sip.sdp import Direction
from haproxy_voip.sip.timers import RFC_3261, Timing
from haproxy_voip.sip.transactions import ClientTransaction, RequestReceived, ServerTransaction

MAX_FORWARDS = "70"  # RFC 3261 section 8.1.1.6
# Ended calls are forgotten; a phone does not have so many lines.
MAX_CALLS = 100
# For assertions after a run, not for ever.
MAX_HISTORY = 100_000


class Phone:
    """See the module. `calls` are those that are not over, by number."""

    def __init__(self, settings: PhoneSettings, chance: Chance, timing: Timing = RFC_3261) -> None:
        self.settings = settings
        self.stack = Stack(self, (settings.listen,), chance, timing)
        # The realm is the server's to say; with a password it does not matter.
        self.stack.account = Account(Credential(settings.user, "", settings.password))
        self.registration = Registration(self.stack, settings)
        self.calls: dict[int, PhoneCall] = {}
        self.watches: list[Watch] = []
        self.history: list[tuple[float, PhoneFact]] = []
        self._last_call = 0

    # -- the machine ---------------------------------------------------------------------------------

    def receive(self, event: NetworkEvent, now: float) -> list[Output]:
        """Take one event."""
        self.stack.receive(event, now)
        if isinstance(event, StreamClosed):
            self.registration.connection_lost(now)
        return self._take(now)

    def wake(self, now: float) -> list[Output]:
        """Act on everything that is due."""
        self.stack.wake(now)
        return self._take(now)

    @property
    def deadline(self) -> float | None:
        """When `wake` is next due."""
        return self.stack.deadline

    @property
    def registered(self) -> bool:
        """Whether the registrar has us."""
        return self.registration.registered

    # -- what a person does --------------------------------------------------------------------------

    def register(self, now: float) -> list[Output]:
        """Register, and stay so."""
        self.registration.start(now)
        return self._take(now)

    def unregister(self, now: float) -> list[Output]:
        """Take the registration back."""
        self.registration.stop(now)
        return self._take(now)

    def call(
        self, callee: str, now: float, delayed_offer: bool = False, headers: tuple[Header, ...] = ()
    ) -> list[Output]:
        """Call a number. Its PhoneCall is the last of `calls`."""
        flow = self.stack.flow(self.settings.server)
        session = Session(self.stack, DETACHED, flow, self.settings.user)
        call = self._new_call(session)
        request = self._request("INVITE", callee)
        request.extend(headers)
        if not delayed_offer:
            call.offered = True
            request.add("content-type", SDP)
            request.body = call.media.offer()
        self.stack.outputs.append(PhoneCalling(self.settings.user, call.number, callee))
        session.invite(request, now)
        return self._take(now)

    def answer(self, call: PhoneCall, now: float) -> list[Output]:
        """Pick up a call that rings here."""
        call.answer(now)
        return self._take(now)

    def hang_up(self, call: PhoneCall, now: float, status: int = 486) -> list[Output]:
        """End a call: cancel, refuse with `status`, or BYE, as its state demands."""
        call.hang_up(now, status)
        return self._take(now)

    def hold(self, call: PhoneCall, now: float) -> list[Output]:
        """Put a call on hold."""
        call.renegotiate(Direction.SENDONLY, now)
        return self._take(now)

    def resume(self, call: PhoneCall, now: float) -> list[Output]:
        """Take it off hold."""
        call.renegotiate(Direction.SENDRECV, now)
        return self._take(now)

    def transfer(self, call: PhoneCall, target: str, now: float) -> list[Output]:
        """Blind: the other end shall talk to `target` (RFC 3515)."""
        return self._refer(call, f"<sip:{target}@{self.settings.domain}>", now)

    def transfer_to_call(self, call: PhoneCall, other: PhoneCall, now: float) -> list[Output]:
        """Attended: the other ends of both calls shall talk to each other (RFC 3891)."""
        dialog = other.session.dialog
        assert dialog is not None, "both calls are up"
        replaces = f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"
        uri = f"sip:transfer@{self.settings.domain}?Replaces={quote(replaces, safe='')}"
        return self._refer(call, f"<{uri}>", now)

    def press(self, call: PhoneCall, digit: str, now: float) -> list[Output]:
        """Send a DTMF digit by INFO."""
        body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        lines = (header("content-type", "application/dtmf-relay"),)
        if call.up:
            call.session.ask("INFO", self._heard("INFO"), now, lines, body)
        return self._take(now)

    def write(self, addressee: str, text: str, now: float) -> list[Output]:
        """Send a MESSAGE."""
        request = self._request("MESSAGE", addressee)
        request.add("content-type", "text/plain")
        request.body = text.encode()
        self.stack.ask(request, self.stack.flow(self.settings.server), Question(self), now)
        return self._take(now)

    def watch(self, target: str, event: str, now: float) -> list[Output]:
        """Subscribe to an event of somebody's: dialog or message-summary."""
        watch = Watch(self.stack, self.settings.user, event, self.stack.flow(self.settings.server))
        self.watches.append(watch)
        watch.start(self._request("SUBSCRIBE", target), now)
        return self._take(now)

    def unwatch(self, watch: Watch, now: float) -> list[Output]:
        """Unsubscribe."""
        watch.stop(now)
        return self._take(now)

    # -- what comes ----------------------------------------------------------------------------------

    def outside(self, received: RequestReceived, transaction: ServerTransaction, now: float) -> None:
        """A request outside any dialog. Raises MessageError."""
        request = transaction.request
        match request.method:
            case "INVITE":
                self._ring(transaction, now)
            case "OPTIONS":
                lines = [header("allow", ALLOW), header("accept", SDP)]
                self.stack.refuse(transaction, 200, now, lines)
            case "MESSAGE":
                sender = request.from_.uri.username
                self.stack.outputs.append(PhoneTold(self.settings.user, "MESSAGE", sender, request.body))
                self.stack.answer(transaction, response_to(request, 200, to_tag=self.stack.chance.token()), now)
            case _:
                raise MessageError(f"no {request.method} outside a call", 405, (header("allow", ALLOW),))

    def _ring(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        unsupported = [tag for tag in request.option_tags("require") if tag != "replaces"]
        if unsupported:
            raise MessageError("an extension is required", 420, (header("unsupported", ", ".join(unsupported)),))
        if len(self.calls) >= MAX_CALLS:
            raise MessageError("no free line", 486)
        session = Session(self.stack, DETACHED, transaction.flow, self.settings.user)
        session.take(transaction)
        call = self._new_call(session)
        self.stack.outputs.append(PhoneRinging(self.settings.user, call.number, request.from_.uri.username))
        call.ring(now)

    # ------------------------------------------------------------------------------------------------

    def _new_call(self, session: Session) -> PhoneCall:
        self._last_call += 1
        call = self.calls[self._last_call] = PhoneCall(self.settings, self._last_call, session)
        session.user = call
        return call

    def _request(self, method: str, callee: str) -> Request:
        domain, token = self.settings.domain, self.stack.chance.token
        headers = [
            header("max-forwards", MAX_FORWARDS),
            header("from", f"{identity(self.settings.user, domain)};tag={token()}"),
            header("to", identity(callee, domain)),
            header("call-id", token()),
            header("cseq", f"1 {method}"),
        ]
        return Request(method, f"sip:{callee}@{domain}", headers)

    def _refer(self, call: PhoneCall, refer_to: str, now: float) -> list[Output]:
        me = identity(self.settings.user, self.settings.domain)
        if call.up:
            lines = (header("refer-to", refer_to), header("referred-by", me))
            call.session.ask("REFER", self._heard("REFER"), now, lines)
        return self._take(now)

    def _heard(self, method: str) -> Then:
        def then(response: Response, now: float) -> None:
            self.stack.outputs.append(PhoneAsked(self.settings.user, method, response.status))

        return then

    def _take(self, now: float) -> list[Output]:
        for number in [number for number, call in self.calls.items() if call.over]:
            del self.calls[number]
        outputs = self.stack.take()
        if len(self.history) < MAX_HISTORY:
            self.history += [
                (now, cast("PhoneFact", output)) for output in outputs if not isinstance(output, (Send, Open, Close))
            ]
        return outputs


class Question:
    """A request outside any dialog whose answer is only told."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def repeated(self, transaction: ClientTransaction) -> None:
        """It went out once more, with credentials."""

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Its answer."""
        if response.status >= 200:
            fact = PhoneAsked(self._phone.settings.user, transaction.request.method, response.status)
            self._phone.stack.outputs.append(fact)
