"""A request outside any dialog, other than INVITE and REGISTER, on its way across: MESSAGE, OPTIONS, PUBLISH,
SUBSCRIBE, REFER, unsolicited NOTIFY and whatever is invented next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from haproxy_voip.cluster.choice import Choice
from haproxy_voip.cluster.decisions import Decision, Thing, decide, safe_to_repeat
from haproxy_voip.proxy.challenges import Challenges
from haproxy_voip.proxy.invitation import Invitation
from haproxy_voip.proxy.isolation import apart
from haproxy_voip.proxy.leg import Side
from haproxy_voip.proxy.moves import Moves
from haproxy_voip.proxy.shared import Output, Shared
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Request, Response, response_to
from haproxy_voip.sip.transactions import ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from haproxy_voip.proxy.subscriptions import Subscriptions

# The answer to these makes a dialog (RFC 6665 section 4.1, RFC 3515 section 2.4.4).
DIALOG_MAKING = frozenset({"SUBSCRIBE", "REFER"})
# Requests in flight across at the same time; the transaction layer's own limit is far above.
MAX_INQUIRIES = 20_000
# A request that killed one backend must not kill them all.
MAX_TRIES = 2
# The backend did nothing with the request (RFC 3261 section 21.5.4); it may go to another one whatever it asks.
UNTOUCHED = 503


class Inquiry:
    """Owns the client transaction on the far side."""

    __slots__ = ("_challenges", "_home", "hidden", "request", "server", "target", "token", "transaction", "tried")

    def __init__(self, home: Inquiries, server: ServerTransaction, hidden: tuple[str, ...], target: Invitation) -> None:
        self._home = home
        self.server = server
        self.hidden = hidden  # hosts of the asking side
        self.target = target
        self.token = home.shared.chance.token()
        self.request: Request | None = None
        self.transaction: ClientTransaction | None = None
        self.tried: list[str] = []
        self._challenges = Challenges(home.shared.authentication, target.backend, target.user)

    def start(self, now: float) -> list[Output]:
        """Ask the far side. Raises MessageError when it cannot be asked this."""
        self.tried.append(self.target.backend)
        self._challenges = Challenges(self._home.shared.authentication, self.target.backend, self.target.user)
        return self._send(self._asked(), now)

    def _asked(self) -> Request:
        """What the far side is asked."""
        shared, original = self._home.shared, self.server.request
        contact = None
        if original.method in DIALOG_MAKING or original.has("contact"):
            contact = shared.network.contact(self.token, self.target.flow)
        request = self.target.request(shared, original, contact)
        request.headers.extend(shared.topology.carried(original, self.hidden))
        request.headers.extend(self.target.proof(shared, original))
        request.body = shared.topology.body(original, self.hidden)
        return request

    def _send(self, request: Request, now: float) -> list[Output]:
        self.request = request
        if request.method in DIALOG_MAKING:
            self._home.subscriptions.expected(self)
        self.transaction, outputs = self._home.shared.ask(request, self.target.flow, self, now)
        return outputs

    def response(self, transaction: ClientTransaction, response: Response, now: float) -> list[Output]:
        """Bring the answer back, or ask elsewhere."""
        status = response.status
        if status < 200:
            return []  # RFC 4320 section 4.1: a provisional to a non-INVITE only before 200 ms; ours are local
        shared = self._home.shared
        if self.target.side is Side.BACKEND:
            if status in (401, 407) and not shared.passing.on:
                again = self._challenges.again(response, transaction.request)
                return self.refuse(403, now) if again is None else self._send(again, now)
            if status in (408, UNTOUCHED):
                outputs = self._home.doubt(self.target.backend, f"{status} to {transaction.request.method}", now)
                # 16.7 step 6: a 503 is never passed on, as it would speak of all that is behind us.
                return outputs + self.elsewhere(500 if status == UNTOUCHED else 504, now, status == UNTOUCHED)
            if status < 300 and shared.passing.unproven(self.server.request):
                told = shared.passing.unguarded(self.target.backend, self.server.request.method)
                return [*told, *self.refuse(403, now)]
        self._home.forget(self)
        return self._answered(response, now)

    def _answered(self, response: Response, now: float) -> list[Output]:
        """Bring it back."""
        shared, status = self._home.shared, response.status
        if self.server.request.method in DIALOG_MAKING:
            if status < 300:
                return self._home.subscriptions.established(self, response, now)
            self._home.subscriptions.refused(self)
        answer = response_to(self.server.request, status, response.reason, shared.chance.token())
        answer.headers.extend(shared.topology.carried(response, self.target.hidden))
        answer.body = shared.topology.body(response, self.target.hidden)
        return [*self._proof(response, answer), *shared.answer(self.server, answer, now)]

    def _proof(self, response: Response, answer: Response) -> list[Output]:
        """Pass on what the backend says of proof."""
        if not self.target.by_phone:
            return []
        passing, asked, backend = self._home.shared.passing, self.server.request, self.target.backend
        judged = self._home.shared.proof(response, self.server, backend, self._home.shared.now)
        answer.headers.extend(passing.answers(response, asked, backend))
        return judged

    def failed(self, transaction: ClientTransaction, reason: str, now: float) -> list[Output]:
        """No answer came. RFC 4320 section 4.2: by now a 408 would come too late to be of use."""
        if self.target.side is Side.CLIENT:
            return self.refuse(480, now)
        doubt = self._home.doubt(self.target.backend, reason, now)
        network = self._home.shared.network
        if not transaction.flow.connection or network.is_open(transaction.flow):
            return doubt + self.refuse(504, now)  # who asks has timed out as well
        return doubt + self.elsewhere(504, now, network.never_opened(transaction.flow))

    def elsewhere(self, otherwise: int, now: float, untouched: bool = False) -> list[Output]:
        """Ask the next backend once, if that is safe; else answer `otherwise`. `untouched`: this one did nothing."""
        method = self.server.request.method
        successor = self._home.next_backend(self)
        safe = untouched or safe_to_repeat(method, in_dialog=False)
        decision = decide(Thing.REQUEST_SAFE if safe else Thing.REQUEST_UNSAFE, another=successor is not None)
        if decision is not Decision.SEND_AGAIN or len(self.tried) == MAX_TRIES:
            return self.refuse(503 if decision is Decision.REFUSE_FOR_NOW else otherwise, now)
        assert successor is not None
        if self.transaction is not None:
            self._home.shared.transactions.abandon(self.transaction)
        self._home.subscriptions.refused(self)
        self._home.rehome(self, successor)
        try:
            return self.start(now)
        except MessageError as error:
            return self.refuse(error.status, now)

    def refuse(self, status: int, now: float) -> list[Output]:
        """Answer it ourselves."""
        self.drop()
        return self._home.shared.refuse(self.server, status, now)

    def end(self, reason: str, now: float) -> list[Output]:
        """It cannot go on."""
        return self.refuse(500, now)

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self._home.forget(self)
        self._home.subscriptions.refused(self)
        if self.transaction is not None:
            self._home.shared.transactions.abandon(self.transaction)


class Inquiries:
    """All requests in flight across, by backend."""

    def __init__(
        self,
        shared: Shared,
        subscriptions: Subscriptions,
        doubt: Callable[[str, str, float], list[Output]],
        choice: Choice,
    ) -> None:
        self.shared = shared
        self.subscriptions = subscriptions
        self.doubt = doubt
        self._choice = choice
        self._by_backend: defaultdict[str, dict[Inquiry, None]] = defaultdict(dict)

    def ask(self, server: ServerTransaction, hidden: tuple[str, ...], target: Invitation, now: float) -> list[Output]:
        """Take a request across. Raises MessageError when it cannot be."""
        return self.take(Inquiry(self, server, hidden, target), now)

    def take(self, inquiry: Inquiry, now: float) -> list[Output]:
        """One that is ready to start. Raises MessageError when it cannot cross."""
        here = self._by_backend[inquiry.target.backend]
        if len(here) >= MAX_INQUIRIES:
            return self.shared.refuse(inquiry.server, 503, now)
        here[inquiry] = None
        try:
            return inquiry.start(now)
        except MessageError:
            inquiry.drop()
            raise

    def on(self, backend: str) -> int:
        """How many this backend asks or is asked."""
        return len(self._by_backend[backend])

    def asked(self, backend: str) -> bool:
        """Whether this backend has one to answer."""
        return any(inquiry.target.side is Side.BACKEND for inquiry in self._by_backend[backend])

    def drop(self, backend: str) -> None:
        """It was removed, and nothing is there."""
        self._by_backend.pop(backend, None)

    def next_backend(self, inquiry: Inquiry) -> str | None:
        """A usable backend that was not asked before."""
        return self._choice.home(inquiry.target.key, inquiry.tried)

    def rehome(self, inquiry: Inquiry, backend: str) -> None:
        """It is asked elsewhere now."""
        self._by_backend[inquiry.target.backend].pop(inquiry, None)
        inquiry.target = inquiry.target.at(self.shared, backend)
        self._by_backend[backend][inquiry] = None

    def forget(self, inquiry: Inquiry) -> None:
        """It was answered."""
        self._by_backend[inquiry.target.backend].pop(inquiry, None)

    def evacuate(self, backend: str, moves: Moves, now: float) -> list[Output]:
        """The backend is down: ask elsewhere what may be asked twice, refuse the rest."""
        outputs: list[Output] = []
        for inquiry in list(self._by_backend[backend]):
            if inquiry.target.side is Side.CLIENT:
                inquiry.drop()  # who asked is dead
                self.shared.transactions.abandon(inquiry.server)
                continue
            outputs += apart(lambda one, at: one.elsewhere(504, at), inquiry, now)
            (moves.move if inquiry in self._by_backend[inquiry.target.backend] else moves.lose)("requests in flight")
        return outputs
