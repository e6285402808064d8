"""What goes on between the two parties of a call: whose offer is under way, when the session runs out, which
transfers are still being reported.

Session timers (RFC 4028) are the parties' own: Session-Expires, Min-SE and 422 cross, and each leg has the same
refresher as the other. The node only watches, so that a call ends when neither party refreshes it any more.
"""

from __future__ import annotations

from contextlib import suppress

from haproxy_voip.proxy.leg import Leg, Side
from haproxy_voip.proxy.media import CallMedia, carries_sdp
from haproxy_voip.proxy.shared import Shared
from haproxy_voip.sip.errors import MessageError
from haproxy_voip.sip.headers import SessionExpires
from haproxy_voip.sip.message import Message, Request, Response, header

# They change the session's parameters (RFC 3261 section 14, RFC 3311).
NEGOTIATING = frozenset({"INVITE", "UPDATE"})
# Section 14.2: "a Retry-After header field with a randomly chosen value of between 0 and 10 seconds".
RETRY_AFTER = "3"
# How long the outcome of a transfer may be awaited after the call: as long as somebody lets a phone ring.
TRANSFER_SECONDS = 180.0


class Session:
    """Belongs to one call, as its media does."""

    __slots__ = ("_asking", "_media", "_shared", "_transfers", "expires_at", "held_by", "refresher", "seconds")

    def __init__(self, shared: Shared, media: CallMedia) -> None:
        self._shared = shared
        self._media = media
        self._asking: tuple[Request, Leg] | None = None
        self._transfers = 0  # REFERs whose NOTIFY with the outcome is still to come (RFC 3515 section 2.4.4)
        self.expires_at: float | None = None  # None: it needs no refresh
        self.seconds = 0  # that it lasts from one refresh to the next
        self.refresher: Side | None = None  # who is to refresh it; None: nobody said
        self.held_by: Side | None = None  # as was told last, see story.py

    # -- bodies -------------------------------------------------------------------------------------

    def across(self, message: Message, leg: Leg) -> bytes:
        """The body of a message on this leg as its peer gets it. Raises MessageError when it cannot be taken."""
        if not message.body or not carries_sdp(message):
            return self._shared.topology.body(message, leg.hidden)
        body = self.offer(message, leg.side, leg.hidden, leg.peer)
        leg.session = self._media.described(leg.side)
        if isinstance(message, Request) and message.method == "ACK":
            self._media.settle()
        return body

    def offer(self, message: Message, side: Side, hidden: tuple[str, ...], to: Leg | None = None) -> bytes:
        """The same for what came from this side, before there is a leg."""
        if not message.body or not carries_sdp(message):
            return self._shared.topology.body(message, hidden)
        return self._shared.topology.without_hosts(self._media.translate(message, side, to), hidden)

    # -- changing it --------------------------------------------------------------------------------

    def begin(self, request: Request, leg: Leg) -> None:
        """This request on this leg is about to cross.

        Raises MessageError when an INVITE comes while another change is under way (RFC 3261 section 14.2).
        """
        if request.method not in NEGOTIATING:
            return
        if self._asking is None:
            self._asking = (request, leg)
            self._media.begin()
        elif request.method == "UPDATE":
            return  # the parties know what they agreed on in a provisional response, and say 491 if they must
        elif self._asking[1] is leg:
            retry = (header("Retry-After", RETRY_AFTER),)
            raise MessageError("an earlier INVITE is under way", status=500, headers=retry)
        else:
            raise MessageError("an offer of ours is under way", status=491)

    def done(self, request: Request, answer: Response | None, now: float) -> bool:
        """It was answered; whether the session was changed or refreshed by it."""
        self._reported(request, answer)
        if self._asking is None or self._asking[0] is not request:
            return False
        asker = self._asking[1].side
        self._asking = None
        if answer is None or answer.status >= 300:
            self._media.undo()
            return False
        if carries_sdp(request):
            self._media.settle()
        self.watch(answer, asker, now)
        return True

    def abandon(self) -> None:
        """Whoever took part in a change under way is gone: it never was."""
        if self._asking is not None:
            self._asking = None
            self._media.undo()

    # -- session timers -----------------------------------------------------------------------------

    def watch(self, response: Response, asker: Side, now: float) -> None:
        """A 2xx to this side's INVITE or UPDATE says how long the session lasts (section 7.2); without a word, for
        ever."""
        self.expires_at = self.refresher = None
        value = response.get("session-expires")
        if value is not None:
            with suppress(MessageError):  # whoever wrote what cannot be read does not keep to it either
                terms = SessionExpires.parse(value)
                self.seconds, self.expires_at = terms.seconds, now + terms.seconds
                self.refresher = {"uac": asker, "uas": asker.other}.get(terms.refresher or "")

    def terms(self, asker: Side) -> str | None:
        """Session-Expires in an INVITE of this side, or in the 2xx to it, that leaves all as it is; None: there is no
        session timer, or nobody's."""
        if self.refresher is None:
            return None
        return str(SessionExpires(self.seconds, "uac" if self.refresher is asker else "uas"))

    # -- transfers ----------------------------------------------------------------------------------

    @property
    def transferring(self) -> bool:
        """Whether somebody waits to hear how a transfer ends."""
        return self._transfers > 0

    def _reported(self, request: Request, answer: Response | None) -> None:
        """Count the transfers: a REFER that was accepted, a NOTIFY that says its end."""
        accepted = answer is not None and answer.status < 300
        if request.method == "REFER" and accepted and not reports_none(request, answer):
            self._transfers += 1
        elif request.method == "NOTIFY" and self._transfers and ends_transfer(request):
            self._transfers -= 1


def reports_none(refer: Message, answer: Message | None) -> bool:
    """RFC 4488: no implicit subscription."""
    return answer is not None and (answer.get("refer-sub") or refer.get("refer-sub") or "").lower() == "false"


def ends_transfer(notify: Request) -> bool:
    """Whether this NOTIFY is the last one of a REFER (RFC 3515 section 2.4.7)."""
    event = (notify.get("event") or "").partition(";")[0].strip().lower()
    return event == "refer" and (notify.get("subscription-state") or "").lower().startswith("terminated")
