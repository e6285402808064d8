"""One call of the embedded phone."""

from __future__ import annotations

from haproxy_voip.embedded.facts import (
    By,
    PhoneAnswered,
    PhoneConfirmed,
    PhoneEnded,
    PhoneHeardRinging,
    PhoneMediaChanged,
    PhoneNotified,
    PhoneTold,
)
from haproxy_voip.embedded.media import SDP, Media
from haproxy_voip.embedded.session import Session, State
from haproxy_voip.embedded.settings import PhoneSettings
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.message import Header, Request, Response, header
from haproxy_voip.sip.sdp import Direction
from haproxy_voip.sip.transactions import ServerTransaction

RINGING, EARLY_MEDIA = 180, 183
# 14.1: whoever did not make the Call-ID waits 0 to 2 s after a 491, whoever did 2.1 to 4 s.
GLARE_CALLEE, GLARE_CALLER = (0.0, 2.0), (2.1, 4.0)
MAX_GLARES = 8


class PhoneCall:
    """See the module. `number` counts from 1 at each phone; `session` is its SIP side."""

    def __init__(self, settings: PhoneSettings, number: int, session: Session) -> None:
        self.number = number
        self.session = session
        self.media = Media(settings.audio, str(1000 + number))
        self.status = 0  # final status of the INVITE; 0 while there is none
        self.over = False
        self.offered = False  # whether the offer that waits for an answer is ours
        self._settings = settings
        self._stack = session.stack
        self._ringing_sent = False
        self._answer_at: float | None = None
        self._glares = 0

    @property
    def up(self) -> bool:
        """Whether it is answered and not over."""
        return self.session.state is State.UP and not self.over

    # -- by command ----------------------------------------------------------------------------------

    def ring(self, now: float) -> None:
        """As callee: begin, as the settings say."""
        settings = self._settings
        if settings.refuse_with is not None:
            self._refuse(settings.refuse_with, now)
            return
        self._answer_at = None if settings.answer_after is None else now + settings.answer_after
        if settings.ring_after <= 0:
            self._send_ringing(now)
        self._arm(now + settings.ring_after)

    def wake(self, now: float) -> None:
        """Time to ring, to answer, or to try a re-INVITE again."""
        if self.over:
            return
        if self.session.state is State.UP:
            self.renegotiate(self.media.wanted, now)
        elif self._answer_at is not None and now >= self._answer_at:
            self.answer(now)
        else:
            self._send_ringing(now)
            self._arm(None)

    def answer(self, now: float) -> None:
        """As callee: pick up."""
        session, invitation = self.session, self.session.invitation
        if self.over or session.state is not State.INVITED or session.is_caller or invitation is None:
            return
        self._stack.alarms.set(self, None)
        try:
            body = self._our_part(invitation)
        except MessageError as error:
            self._refuse(error.status, now)
            return
        self.status = 200
        session.accept(now, body, SDP)
        self._stack.outputs.append(PhoneAnswered(self._settings.user, self.number, self.media.remote))

    def renegotiate(self, wanted: Direction, now: float) -> None:
        """Hold (SENDONLY), resume (SENDRECV), or be quiet altogether (INACTIVE), by re-INVITE."""
        self.media.wanted = wanted
        if not self.up:
            return
        if self.session.busy:
            self._after_glare(now)
            return
        self.session.ask("INVITE", self._renegotiated, now, [header("content-type", SDP)], self.media.offer())

    def hang_up(self, now: float, status: int = 486) -> None:
        """End it, whatever its state; a call that rings here is refused with `status`."""
        if self.over:
            return
        was_up, calling = self.session.state is State.UP, self.session.is_caller
        self.session.hang_up(now, status)
        if was_up:
            self._ended(200, By.US, "hung up")
        elif not calling:
            self._ended(status, By.US, "refused")
        # A cancelled call ends with the response to its INVITE.

    # -- SessionUser ---------------------------------------------------------------------------------

    def progressed(self, session: Session, response: Response, now: float) -> None:
        """It rings over there."""
        if response.body and self.offered:
            self.media.take_answer(response.body)
        self._stack.outputs.append(PhoneHeardRinging(self._settings.user, self.number, response.status))

    def answered(self, session: Session, response: Response, now: float) -> None:
        """They answered."""
        cseq = response.cseq.number
        try:
            if self.offered:
                self.offered = False
                if response.body:
                    self.media.take_answer(response.body)
                session.acknowledge(cseq)
            else:
                session.acknowledge(cseq, self.media.answer(response.body), SDP)
        except MessageError as error:
            session.acknowledge(cseq)
            session.hang_up(now)
            self._ended(error.status, By.US, error.reason)
            return
        self.status = 200
        self._stack.outputs.append(PhoneAnswered(self._settings.user, self.number, self.media.remote))

    def refused(self, session: Session, response: Response, now: float) -> None:
        """Our INVITE failed, or was cancelled."""
        by = By.US if response.status == 487 else By.NETWORK if response.status == 408 else By.THEM
        self._ended(response.status, by, response.reason)

    def asked(self, session: Session, transaction: ServerTransaction, now: float) -> None:
        """A request within the call. Raises MessageError."""
        request = transaction.request
        match request.method:
            case "INVITE" | "UPDATE":
                body = self._our_part(request) if request.body or request.method == "INVITE" else b""
                session.answer(transaction, 200, now, body, SDP)
                if request.body:
                    self._changed()
            case "NOTIFY":
                session.answer(transaction, 200, now)
                state = request.get("subscription-state") or ""
                self._stack.outputs.append(
                    PhoneNotified(self._settings.user, request.get("event") or "", state, request.body)
                )
            case "INFO" | "MESSAGE":
                session.answer(transaction, 200, now)
                sender = request.from_.uri.username
                self._stack.outputs.append(PhoneTold(self._settings.user, request.method, sender, request.body))
            case "OPTIONS":
                session.answer(transaction, 200, now)
            case _:
                raise MessageError(f"{request.method} is not for phones like this", 501)

    def acknowledged(self, session: Session, ack: Request, now: float) -> None:
        """Our answer arrived."""
        if self.offered:
            self.offered = False
            if ack.body:
                self.media.take_answer(ack.body)
                self._changed()
        if (
            session.invitation is not None
            and ack.cseq.number == session.invitation.cseq.number
            and not session.is_caller
        ):
            self._stack.outputs.append(PhoneConfirmed(self._settings.user, self.number))

    def ended(self, session: Session, by: By, reason: str, now: float) -> None:
        """They hung up."""
        self._ended(self.status or 487, by, reason)

    # ------------------------------------------------------------------------------------------------

    def _our_part(self, request: Request) -> bytes:
        """Our answer to the offer in a request, or our offer when there is none. Raises MessageError."""
        if request.body:
            if request.content_type != SDP:
                raise MessageError(f"{request.content_type} is no SDP", 415, _ACCEPT)
            return self.media.answer(request.body)
        self.offered = True
        return self.media.offer()

    def _renegotiated(self, response: Response, now: float) -> None:
        status = response.status
        if 200 <= status < 300:
            self._glares = 0
            self.session.acknowledge(response.cseq.number)
            if response.body:
                self.media.take_answer(response.body)
            self._changed()
        elif status == 491:
            self._after_glare(now)

    def _after_glare(self, now: float) -> None:
        self._glares += 1
        if self._glares <= MAX_GLARES:
            wait = self._stack.chance.between(*(GLARE_CALLER if self.session.is_caller else GLARE_CALLEE))
            self._stack.alarms.set(self, now + wait)

    def _send_ringing(self, now: float) -> None:
        if self._ringing_sent:
            return
        self._ringing_sent = True
        invitation = self.session.invitation
        if self._settings.early_media and invitation is not None and invitation.body:
            self.session.progress(EARLY_MEDIA, now, self.media.answer(invitation.body), SDP)
        else:
            self.session.progress(RINGING, now)

    def _arm(self, ring_at: float | None) -> None:
        times = [self._answer_at, None if self._ringing_sent else ring_at]
        self._stack.alarms.set(self, min([at for at in times if at is not None], default=None))

    def _refuse(self, status: int, now: float) -> None:
        self.session.refuse(status, now)
        self._ended(status, By.US, "refused")

    def _changed(self) -> None:
        media = self.media
        self._stack.outputs.append(
            PhoneMediaChanged(self._settings.user, self.number, media.remote, media.sends, media.receives)
        )

    def _ended(self, status: int, by: By, reason: str) -> None:
        if not self.over:
            self.over = True
            self._stack.alarms.set(self, None)
            self._stack.outputs.append(PhoneEnded(self._settings.user, self.number, status, by, reason))


_ACCEPT: tuple[Header, ...] = (header("accept", SDP),)
