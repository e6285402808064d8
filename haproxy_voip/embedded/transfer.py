"""Call transfer by REFER, blind and attended (RFC 3515, RFC 3891), and INVITE with Replaces.

The PBX is a B2BUA, so it acts on REFER itself: the transferee stays on the leg it is on and is only told of new
media. The party that joins is asked for an offer, which the transferee gets in a re-INVITE; its answer goes back
in the ACK (RFC 3725 section 4.3).
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote

from haproxy_voip.embedded.bridge import DETACHED, Bridge
from haproxy_voip.embedded.hunt import Hunt
from haproxy_voip.embedded.session import Session, State
from haproxy_voip.sip.errors import REASON_PHRASES, MessageError
from haproxy_voip.sip.headers import NameAddr, Replaces
from haproxy_voip.sip.message import Response, header
from haproxy_voip.sip.transactions import ServerTransaction

SIPFRAG = "message/sipfrag;version=2.0"
NOTIFY_SECONDS = 60  # how long the transferor may wait for news


class Switchboard(Protocol):
    """What a transfer asks of its PBX."""

    def hunt(self, caller: str, callee: str, hunter: Transfer, now: float) -> Hunt:
        """Ring a user without an offer. Raises MessageError when there is nobody to ring."""

    def bridge(self, caller_name: str, callee_name: str) -> Bridge:
        """A new bridge."""

    def bridge_of(self, session: Session) -> Bridge | None:
        """The bridge this session is on."""


class Transfer:
    """One REFER on its way. `transferor` is the session it came on, `transferee` the other leg of that bridge."""

    def __init__(self, switchboard: Switchboard, bridge: Bridge, transferor: Session, transferee: Session) -> None:
        self._switchboard = switchboard
        self._bridge = bridge
        self._transferor = transferor
        self._transferee = transferee
        self._replaced: Session | None = None
        self._joining: Bridge | None = None  # of an attended transfer: the bridge the target is on
        self._target = ""

    def start(self, transaction: ServerTransaction, now: float) -> None:
        """Act on the REFER. Raises MessageError."""
        uri = NameAddr.parse(transaction.request.get("refer-to") or "").uri
        self._target = uri.username
        replaces = next((unquote(value) for name, value in uri.headers if name.lower() == "replaces"), None)
        if replaces is not None:
            self._replaced = find_replaced(self._transferor, Replaces.parse(replaces))
        elif not self._target:
            raise MessageError("Refer-To names nobody")
        self._transferor.answer(transaction, 202, now)
        self._notify(100, now)
        if self._replaced is not None:
            self._attended(self._replaced, now)
        else:
            self._blind(now)

    # -- blind: the target's phone is called ---------------------------------------------------------

    def _blind(self, now: float) -> None:
        try:
            self._switchboard.hunt(self._name_of(self._transferee), self._target, self, now)
        except MessageError as error:
            self._notify(error.status, now)

    def rang(self, session: Session, response: Response, now: float) -> None:
        """The target's phone rings."""
        self._notify(response.status, now)

    def won(self, session: Session, response: Response, now: float) -> None:
        """The target answered, with an offer."""
        session.user = DETACHED
        self._offered(session, response, now)

    def lost(self, status: int, now: float) -> None:
        """The target did not answer; the call stays as it was."""
        self._notify(status, now)

    # -- attended: the target is on another call of the transferor -----------------------------------

    def _attended(self, replaced: Session, now: float) -> None:
        other = self._switchboard.bridge_of(replaced)
        target = None if other is None else other.far(replaced)
        if other is None or target is None or target.busy:
            self._notify(480, now)
            return
        self._target = self._name_on(other, target)
        self._joining = other

        def then(response: Response, now: float) -> None:
            if 200 <= response.status < 300:
                replaced.user = DETACHED
                self._offered(target, response, now)
            else:
                self._notify(response.status, now)

        target.ask("INVITE", then, now)

    # -- both ----------------------------------------------------------------------------------------

    def _offered(self, target: Session, offer: Response, now: float) -> None:
        transferee = self._transferee
        if transferee.state is not State.UP or transferee.busy:
            target.acknowledge(offer.cseq.number)
            target.hang_up(now)
            self._notify(480, now)
            return

        def then(answer: Response, now: float) -> None:
            target.acknowledge(offer.cseq.number, answer.body, answer.get("content-type"))
            if 200 <= answer.status < 300:
                transferee.acknowledge(answer.cseq.number)
                self._done(target, now)
            else:
                target.hang_up(now)
                self._notify(answer.status, now)

        content_type = header("content-type", offer.get("content-type") or "application/sdp")
        transferee.ask("INVITE", then, now, (content_type,), offer.body)

    def _done(self, target: Session, now: float) -> None:
        name = self._name_of(self._transferee)
        self._notify(200, now)
        if self._joining is not None:
            self._joining.dissolve(now)
        self._bridge.dissolve(now)
        for session in (self._transferor, self._replaced):
            if session is not None:
                session.user = DETACHED
                session.hang_up(now)
        self._switchboard.bridge(name, self._target).join(self._transferee, target, now)

    def _notify(self, status: int, now: float) -> None:
        """Tell the transferor (RFC 3515 section 2.4.4)."""
        if self._transferor.state is not State.UP:
            return
        state = f"active;expires={NOTIFY_SECONDS}" if status < 200 else "terminated;reason=noresource"
        headers = (
            header("event", "refer"),
            header("subscription-state", state),
            header("content-type", SIPFRAG),
        )
        body = f"SIP/2.0 {status} {REASON_PHRASES.get(status, '')}\r\n".encode()
        self._transferor.ask("NOTIFY", _unheard, now, headers, body)

    def _name_of(self, session: Session) -> str:
        return self._name_on(self._bridge, session)

    @staticmethod
    def _name_on(bridge: Bridge, session: Session) -> str:
        return bridge.caller_name if session is bridge.caller else bridge.callee_name


def find_replaced(session: Session, replaces: Replaces) -> Session:
    """The session that Replaces means: its tags are as its other end sees them (RFC 3891 section 3).

    Raises MessageError(481) when there is none.
    """
    found = session.stack.dialogs.get((replaces.call_id, replaces.to_tag, replaces.from_tag))
    if not isinstance(found, Session) or found.state is not State.UP:
        raise MessageError("Replaces names no call", 481)
    return found


def take_over(switchboard: Switchboard, newcomer: Session, replaced: Session, name: str, now: float) -> None:
    """An INVITE with Replaces: its sender takes the place of `replaced`. Raises MessageError."""
    bridge = switchboard.bridge_of(replaced)
    stays = None if bridge is None else bridge.far(replaced)
    invitation = newcomer.invitation
    if bridge is None or stays is None or stays.busy or invitation is None or not invitation.body:
        raise MessageError("that call cannot be taken over now", 488)
    stays_name = bridge.callee_name if stays is bridge.callee else bridge.caller_name

    def then(response: Response, now: float) -> None:
        if not 200 <= response.status < 300:
            newcomer.refuse(488, now)
            return
        stays.acknowledge(response.cseq.number)
        newcomer.accept(now, response.body, response.get("content-type"))
        bridge.dissolve(now)
        replaced.user = DETACHED
        replaced.hang_up(now)
        switchboard.bridge(name, stays_name).join(newcomer, stays, now)

    newcomer.user = DETACHED
    content_type = header("content-type", invitation.get("content-type") or "application/sdp")
    stays.ask("INVITE", then, now, (content_type,), invitation.body)


def _unheard(response: Response, now: float) -> None:
    """A transferor that does not understand NOTIFY is no worse off."""
