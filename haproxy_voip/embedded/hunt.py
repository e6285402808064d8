"""Ringing a user: an INVITE to each of their contacts, the first answer wins (RFC 3261 section 16.7, as a B2BUA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from haproxy_voip.embedded.facts import By
from haproxy_voip.embedded.registrar import Contact
from haproxy_voip.embedded.session import Session
from haproxy_voip.embedded.stack import Stack, identity
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, Response, header
from haproxy_voip.sip.transactions import ServerTransaction

MAX_FORWARDS = "70"  # RFC 3261 section 8.1.1.6
NO_ANSWER = 480


@dataclass(frozen=True, slots=True)
class Offer:
    """What the INVITEs say."""

    caller: str  # From without tag: how the callee's display shows the caller
    callee: str  # user
    realm: str
    ring_for: float  # seconds
    headers: tuple[Header, ...] = ()
    body: bytes = b""


class Hunter(Protocol):
    """Who wants the user on the line."""

    def rang(self, session: Session, response: Response, now: float) -> None:
        """One of the phones says something."""

    def won(self, session: Session, response: Response, now: float) -> None:
        """One of them answered; the session is the hunter's now, and wants its ACK."""

    def lost(self, status: int, now: float) -> None:
        """None did; the best reason they gave."""


class Hunt:
    """One INVITE for each contact. Over once `won` or `lost` was called, or by `give_up`."""

    def __init__(self, stack: Stack, hunter: Hunter, offer: Offer) -> None:
        self._stack = stack
        self._hunter = hunter
        self._offer = offer
        self._ringing: list[Session] = []
        self._statuses: list[int] = []
        self._over = False

    def start(self, contacts: list[Contact], now: float) -> None:
        """Ring them all."""
        self._stack.alarms.set(self, now + self._offer.ring_for)
        for contact in contacts:
            flow = self._stack.flow_to(contact.uri, contact.flow)
            session = Session(self._stack, self, flow, "pbx")
            self._ringing.append(session)
            session.invite(self._request(contact), now)

    def give_up(self, now: float) -> None:
        """Nobody wants the user any more."""
        self._over = True
        self._stack.alarms.set(self, None)
        for session in self._ringing:
            session.hang_up(now)

    def wake(self, now: float) -> None:
        """It rang long enough."""
        if not self._over:
            self.give_up(now)
            self._hunter.lost(NO_ANSWER, now)

    # -- SessionUser ---------------------------------------------------------------------------------

    def progressed(self, session: Session, response: Response, now: float) -> None:
        """A phone rings."""
        if not self._over:
            self._hunter.rang(session, response, now)

    def answered(self, session: Session, response: Response, now: float) -> None:
        """A phone was picked up; one that comes second is hung up at once."""
        self._ringing.remove(session)
        if self._over:
            session.acknowledge(response.cseq.number)
            session.hang_up(now)
            return
        self.give_up(now)
        self._hunter.won(session, response, now)

    def refused(self, session: Session, response: Response, now: float) -> None:
        """A phone is busy, declines, or is not there."""
        self._ringing.remove(session)
        self._statuses.append(response.status)
        if self._over:
            return
        if response.status >= 600:
            # 16.7 step 5: a 6xx ends the search everywhere.
            self.give_up(now)
            self._hunter.lost(response.status, now)
        elif not self._ringing:
            self.give_up(now)
            self._hunter.lost(_best(self._statuses), now)

    def asked(self, session: Session, transaction: ServerTransaction, now: float) -> None:
        """Nothing is asked before the answer."""
        raise MessageError("not before the call is answered", 501)

    def acknowledged(self, session: Session, ack: Request, now: float) -> None:
        """We are the caller: there is no ACK for us."""

    def ended(self, session: Session, by: By, reason: str, now: float) -> None:
        """One that was hung up at once is gone."""

    def _request(self, contact: Contact) -> Request:
        offer, token = self._offer, self._stack.chance.token
        headers = [
            header("max-forwards", MAX_FORWARDS),
            header("from", f"{offer.caller};tag={token()}"),
            header("to", identity(offer.callee, offer.realm)),
            header("call-id", token()),
            header("cseq", "1 INVITE"),
            *offer.headers,
        ]
        return Request("INVITE", contact.uri, headers, offer.body)


def _best(statuses: list[int]) -> int:
    """16.7 step 6: of the lowest class the first; a phone that cannot be reached says least of all."""
    said = [status for status in statuses if status not in (408, 503)]
    if not said:
        return NO_ANSWER
    lowest = min(status // 100 for status in said)
    return next(status for status in said if status // 100 == lowest)
