"""A call through the PBX: two sessions, each with its own Call-ID and tags, and what passes between them."""

from __future__ import annotations

from collections.abc import Callable

from haproxy_voip.embedded.facts import By, PbxConnected, PbxHungUp
from haproxy_voip.embedded.hunt import Hunt, Offer
from haproxy_voip.embedded.registrar import Contact
from haproxy_voip.embedded.session import Session, SessionUser, State
from haproxy_voip.embedded.stack import Stack
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Message, Request, Response
from haproxy_voip.sip.transactions import ServerTransaction

# What a request and its answer mean together with their bodies; all else belongs to one leg.
PASSED = frozenset({"content-type", "content-disposition", "info-package"})

Changed = Callable[[str, float], None]
Refer = Callable[["Bridge", Session, ServerTransaction, float], None]


class Bridge:
    """See the module. `changed` is told of users whose calls changed; `refer` takes REFER requests."""

    def __init__(self, stack: Stack, names: tuple[str, str], changed: Changed, refer: Refer) -> None:
        self.stack = stack
        self.caller_name, self.callee_name = names
        self.caller: Session | None = None
        self.callee: Session | None = None
        self._hunt: Hunt | None = None
        self._changed = changed
        self._refer = refer
        self._last_status = 0
        # Whoever answered an INVITE without an offer waits here for the ACK that brings the answer (13.2.1).
        self._awaiting_answer: dict[Session, tuple[Session, int]] = {}

    def call(self, caller: Session, offer: Offer, contacts: list[Contact], now: float) -> None:
        """Ring the callee for this caller."""
        self.caller = caller
        self._hunt = Hunt(self.stack, self, offer)
        self._hunt.start(contacts, now)
        self._tell(now)

    def join(self, caller: Session, callee: Session, now: float) -> None:
        """Be the bridge between two sessions that are up and have each other's media already."""
        self.caller, self.callee = caller, callee
        caller.user = callee.user = self
        self._connected(now)

    def dissolve(self, now: float) -> None:
        """A transfer has taken the sessions elsewhere."""
        self._over(200, now)

    def far(self, session: Session) -> Session | None:
        """The other leg."""
        return self.callee if session is self.caller else self.caller

    @property
    def state(self) -> str:
        """In the words of RFC 4235: early, confirmed or terminated."""
        if self.callee is not None:
            return "confirmed"
        return "terminated" if self._hunt is None else "early"

    # -- Hunter --------------------------------------------------------------------------------------

    def rang(self, session: Session, response: Response, now: float) -> None:
        """Pass it on, unless the caller knows."""
        if self.caller is not None and (response.body or response.status != self._last_status):
            self._last_status = response.status
            self.caller.progress(response.status, now, response.body, response.get("content-type"))

    def won(self, session: Session, response: Response, now: float) -> None:
        """The callee's answer is the caller's."""
        assert self.caller is not None and self.caller.invitation is not None
        self._hunt = None
        self.callee, session.user = session, self
        self._acknowledge(session, response.cseq.number, self.caller, self.caller.invitation)
        self.caller.accept(now, response.body, response.get("content-type"))
        self._connected(now)

    def lost(self, status: int, now: float) -> None:
        """Nobody answers."""
        self._hunt = None
        if self.caller is not None:
            self.caller.refuse(status, now)
        self._over(status, now)

    # -- SessionUser ---------------------------------------------------------------------------------

    def progressed(self, session: Session, response: Response, now: float) -> None:
        """Only a hunt's sessions ring."""

    def answered(self, session: Session, response: Response, now: float) -> None:
        """Only a hunt's sessions are answered."""

    def refused(self, session: Session, response: Response, now: float) -> None:
        """Only a hunt's sessions are refused."""

    def asked(self, session: Session, transaction: ServerTransaction, now: float) -> None:
        """Ask the other leg the same, or do as REFER says."""
        request, far = transaction.request, self.far(session)
        if request.method == "REFER":
            self._refer(self, session, transaction, now)
            return
        if far is None or far.state is not State.UP:
            raise MessageError("the other end is not there", 500 if request.method == "UPDATE" else 481)
        if request.method == "INVITE" and far.busy:
            session.answer(transaction, 491, now)
            return
        far.ask(request.method, self._passed_back(session, transaction, far), now, passed(request), request.body)

    def acknowledged(self, session: Session, ack: Request, now: float) -> None:
        """The answer to a delayed offer goes on in an ACK."""
        waiting = self._awaiting_answer.pop(session, None)
        if waiting is not None:
            far, cseq = waiting
            far.acknowledge(cseq, ack.body, ack.get("content-type"))

    def ended(self, session: Session, by: By, reason: str, now: float) -> None:
        """One end hung up: so does the other."""
        status = 200 if self.callee is not None else 487
        if self._hunt is not None:
            self._hunt.give_up(now)
            self._hunt = None
        far = self.far(session)
        if far is not None:
            far.hang_up(now)
        self._over(status, now)

    # ------------------------------------------------------------------------------------------------

    def _passed_back(
        self, session: Session, transaction: ServerTransaction, far: Session
    ) -> Callable[[Response, float], None]:
        def then(response: Response, now: float) -> None:
            if transaction.is_invite and 200 <= response.status < 300:
                self._acknowledge(far, response.cseq.number, session, transaction.request)
            if session.state is not State.OVER:
                status = 500 if response.status == 503 else response.status  # 16.7: never pass on a 503
                session.answer(transaction, status, now, response.body, response.get("content-type"))

        return then

    def _acknowledge(self, far: Session, cseq: int, near: Session, asked: Request) -> None:
        """Acknowledge at once what answered an offer; what holds the offer, when the near end has answered."""
        if asked.body or near.state is State.OVER:
            far.acknowledge(cseq)
        else:
            self._awaiting_answer[near] = (far, cseq)

    def _connected(self, now: float) -> None:
        self.stack.outputs.append(PbxConnected(self.caller_name, self.callee_name))
        self._tell(now)

    def _over(self, status: int, now: float) -> None:
        if self.caller is not None:
            self.caller = self.callee = None
            self._awaiting_answer.clear()
            self.stack.outputs.append(PbxHungUp(self.caller_name, self.callee_name, status))
            self._tell(now)

    def _tell(self, now: float) -> None:
        for name in dict.fromkeys((self.caller_name, self.callee_name)):
            self._changed(name, now)


class Detached:
    """The user of a session that a transfer has left alone and that is being hung up."""

    def progressed(self, session: Session, response: Response, now: float) -> None:
        """Too late."""

    def answered(self, session: Session, response: Response, now: float) -> None:
        """Too late."""

    def refused(self, session: Session, response: Response, now: float) -> None:
        """Too late."""

    def asked(self, session: Session, transaction: ServerTransaction, now: float) -> None:
        """There is nobody to ask."""
        raise MessageError("this call was transferred", 481)

    def acknowledged(self, session: Session, ack: Request, now: float) -> None:
        """Too late."""

    def ended(self, session: Session, by: By, reason: str, now: float) -> None:
        """As it should be."""


DETACHED: SessionUser = Detached()


def passed(message: Message) -> list[Header]:
    """The headers that go with a message to the other leg."""
    return [line for line in message.headers if line[0] in PASSED or line[0].startswith("x-")]
